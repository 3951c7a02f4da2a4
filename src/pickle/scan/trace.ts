import { globalValue } from '../constructors.ts'
import type { OpcodeName } from '../opcodes.ts'
import { PickleError } from '../pickle-error.ts'
import {
  type GlobalName,
  type Instruction,
  readInstruction,
  type ReadLimits,
} from '../read-opcodes.ts'
import { createFindings, type TraceFinding } from './findings.ts'
import { handedOver, trustOf } from './handed-over.ts'
import { unescaped, unquoted } from './python-text.ts'
import { fullName, type NamedSymbol, OTHER, preview, type Symbol } from './symbols.ts'

// A pickle read as any Python would read it, every opcode of every protocol, with symbols in place of values: what it names
// and what it calls comes out, and nothing is named or called. It goes on after each finding, and what was found before
// a broken opcode stays: Python would have run it before it came there.

export interface TraceLimits extends ReadLimits {
  readonly maxOpcodes: number
  readonly maxValues: number
  readonly maxMemo: number
  /** Of attacks, and of what else is found. */
  readonly maxFindings: number
}

export interface Trace {
  readonly begin: number
  /** Behind STOP, or behind the last opcode that was read. */
  readonly end: number
  readonly findings: readonly TraceFinding[]
  /** Strings of bytes that it holds, which may be pickles themselves. */
  readonly nested: readonly { readonly offset: number; readonly bytes: Uint8Array }[]
  /** Why it wasn't read to its STOP. */
  readonly broken: Fault | undefined
  /** What no pickler writes, and Python's own reader doesn't mind. */
  readonly oddity: Fault | undefined
  /** Whether more bytes may have made it whole. */
  readonly isCutOff: boolean
  /** Where it was left though another reader would go on, had it so many bytes. */
  readonly wantedEnd: number | undefined
  /** Opcodes read. */
  readonly count: number
}

interface Fault {
  readonly offset: number
  readonly why: string
}

/** Reads what begins at `begin`. Never throws. */
export function trace(pickle: Uint8Array, begin: number, limits: TraceLimits): Trace {
  let stack: Symbol[] = []
  const below: Symbol[][] = []
  const memo = new Map<number | string, Symbol>()
  const findings = createFindings(limits.maxFindings, () =>
    exceed('has more findings than are told'),
  )
  const nested: { offset: number; bytes: Uint8Array }[] = []
  let at: Instruction = { name: 'STOP', offset: begin, end: begin, argument: undefined }
  let frameEnd = Infinity
  let oddity: Fault | undefined
  let depth = 0
  let count = 0
  let visits = 0

  const fail = (why: string): never => {
    throw new PickleError(at.offset, why)
  }
  /** A limit of ours, where another reader goes on. */
  const exceed = (why: string): never => {
    throw new PickleError(at.offset, why, { wantedEnd: at.end })
  }

  function push(symbol: Symbol): void {
    depth += 1
    if (depth > limits.maxValues) exceed('has too many values on its stack')
    stack.push(symbol)
  }

  function pop(): Symbol {
    const symbol = stack.pop()
    if (symbol === undefined) return fail('takes a value from an empty stack')
    depth -= 1
    return symbol
  }

  function popMark(): Symbol[] {
    const lower = below.pop()
    if (lower === undefined) return fail('wants a mark where there is none')
    const symbols = stack
    stack = lower
    depth -= symbols.length
    return symbols
  }

  function symbolOf(global: GlobalName): NamedSymbol {
    const name = fullName(global)
    const isKnown = globalValue(global.module, global.name) !== undefined
    return { kind: 'global', name, trust: trustOf(name, isKnown) }
  }

  function pushGlobal(global: GlobalName): void {
    const symbol = symbolOf(global)
    if (symbol.trust !== 'known') findings.tellName(at, symbol.name, symbol)
    push(symbol)
  }

  function visit(): void {
    visits += 1
    if (visits > limits.maxOpcodes) exceed('has arguments that are too entangled')
  }

  /** What a call gives; a finding unless it builds what is known. Calling what is no function fails in Python too. */
  function call(called: Symbol, args: Symbol): Symbol {
    if (called.kind !== 'global' && called.kind !== 'object') return OTHER
    const what = called.kind === 'global' ? called.name : called.of
    const isPlain = called.kind === 'global' && called.trust !== 'none'
    const handed = isPlain ? handedOver(what, args, visit) : undefined
    if (handed !== undefined) findings.tellCall(at, handed.name, true, args, handed.symbol)
    const isEmpty = args.kind === 'list' && args.items.length === 0
    const isAttack = !isPlain && !(called.kind === 'global' && at.name === 'NEWOBJ' && isEmpty)
    if (isAttack || called.trust !== 'known') findings.tellCall(at, what, isAttack, args, called)
    if (what === '_codecs.encode') noteEncoded(args)
    return { kind: 'object', of: what, trust: called.trust, isBuilt: false }
  }

  /** How protocol 2 writes bytes. */
  function noteEncoded(args: Symbol): void {
    const [text] = args.kind === 'list' ? args.items : []
    if (text?.kind === 'text' && /^[\0-\xff]*$/.test(text.text))
      nested.push({ offset: at.offset, bytes: Buffer.from(text.text, 'latin1') })
  }

  /** Something is put into what isn't plain: Python calls a method of it, or changes what a module holds. */
  function change(target: Symbol, method: string, value: Symbol): void {
    if (target.kind === 'global') findings.tell(at, `${target.name}.${method}`, true, value)
    else if (target.kind === 'object' && target.isBuilt)
      findings.tell(at, `${target.of}.${method}`, true, value)
  }

  function stackGlobal(): void {
    const [last, module] = [pop(), pop()]
    if (module.kind === 'text' && last.kind === 'text')
      pushGlobal({ module: module.text, name: last.text })
    else pushUnknown(`${preview(module)}.${preview(last)}`)
  }

  function extension(): void {
    pushUnknown(`the extension ${at.argument as bigint} of copyreg`)
  }

  /** Something that only Python could say the name of. */
  function pushUnknown(what: string): void {
    const symbol: Symbol = { kind: 'global', name: what, trust: 'none' }
    findings.tellName(at, what, symbol)
    push(symbol)
  }

  function pushText(): void {
    push({ kind: 'text', text: at.argument as string })
  }

  function pushBytes(): void {
    const bytes = at.argument as Uint8Array
    nested.push({ offset: at.offset, bytes })
    push({ kind: 'bytes', bytes })
  }

  const pushNumber = (): void => {
    const { argument } = at
    push(argument === undefined ? OTHER : { kind: 'number', number: argument as bigint | number })
  }
  const pushOther = (): void => {
    push(OTHER)
  }
  const list = (items: Symbol[]): void => {
    push({ kind: 'list', items })
  }
  const remember = (key: number | string): void => {
    if (memo.size === limits.maxMemo) exceed('remembers too many values')
    memo.set(key, stack.at(-1) ?? fail('wants a value on an empty stack'))
  }
  const recall = (key: number | string): void => {
    push(memo.get(key) ?? fail('asks for a value that it never kept'))
  }
  /** Of text protocols, as CPython reads a number: up to a NUL; signs, zeros before it and underscores mean nothing. */
  const keyOf = (line: string): number | string => {
    const [text = ''] = line.split('\0', 1)
    const [, sign = '', digits] = /^\s*([+-]?)0*(\d+)\s*$/.exec(text.replace(/(?<=\d)_(?=\d)/g, '')) ?? [] // prettier-ignore
    if (digits === undefined || digits.length > 15) return text
    return sign === '-' && digits !== '0' ? `-${digits}` : Number(digits)
  }
  /** A value that was added to what is below it. */
  const add = (symbols: Symbol[], method: string): void => {
    const target = stack.at(-1) ?? fail('wants a value on an empty stack')
    if (target.kind === 'list') for (const symbol of symbols) target.items.push(symbol)
    else change(target, method, { kind: 'list', items: symbols })
  }

  const ACTIONS: Readonly<Record<Exclude<OpcodeName, 'STOP'>, () => void>> = {
    PROTO: () => undefined,
    FRAME: () => {
      frameEnd = at.end + Number(at.argument)
    },
    MARK: () => {
      if (below.length === limits.maxValues) exceed('has too many marks open')
      below.push(stack)
      stack = []
    },
    POP: () => {
      if (stack.length === 0) popMark()
      else pop()
    },
    POP_MARK: () => {
      popMark()
    },
    DUP: () => {
      const top = pop()
      push(top)
      push(top)
    },
    FLOAT: pushOther,
    INT: pushOther,
    LONG: pushOther,
    BININT: pushNumber,
    BININT1: pushNumber,
    BININT2: pushNumber,
    LONG1: pushNumber,
    LONG4: pushNumber,
    BINFLOAT: pushNumber,
    NONE: pushOther,
    NEWTRUE: pushOther,
    NEWFALSE: pushOther,
    STRING: () => {
      push({ kind: 'text', text: unquoted(at.argument as string) })
    },
    UNICODE: () => {
      push({ kind: 'text', text: unescaped(at.argument as string) })
    },
    BINUNICODE: pushText,
    SHORT_BINUNICODE: pushText,
    BINUNICODE8: pushText,
    BINSTRING: pushText,
    SHORT_BINSTRING: pushText,
    BINBYTES: pushBytes,
    SHORT_BINBYTES: pushBytes,
    BINBYTES8: pushBytes,
    BYTEARRAY8: pushBytes,
    NEXT_BUFFER: pushOther,
    READONLY_BUFFER: () => undefined,
    EMPTY_LIST: () => {
      list([])
    },
    EMPTY_TUPLE: () => {
      list([])
    },
    EMPTY_DICT: () => {
      list([])
    },
    EMPTY_SET: () => {
      list([])
    },
    LIST: () => {
      list(popMark())
    },
    TUPLE: () => {
      list(popMark())
    },
    DICT: () => {
      list(popMark())
    },
    FROZENSET: () => {
      list(popMark())
    },
    TUPLE1: () => {
      list([pop()])
    },
    TUPLE2: () => {
      list([pop(), pop()].reverse())
    },
    TUPLE3: () => {
      list([pop(), pop(), pop()].reverse())
    },
    APPEND: () => {
      add([pop()], 'append')
    },
    APPENDS: () => {
      add(popMark(), 'extend')
    },
    ADDITEMS: () => {
      add(popMark(), 'add')
    },
    SETITEM: () => {
      add([pop(), pop()].reverse(), '__setitem__')
    },
    SETITEMS: () => {
      add(popMark(), '__setitem__')
    },
    PUT: () => {
      remember(keyOf(at.argument as string))
    },
    BINPUT: () => {
      remember(Number(at.argument))
    },
    LONG_BINPUT: () => {
      remember(Number(at.argument))
    },
    MEMOIZE: () => {
      remember(memo.size)
    },
    GET: () => {
      recall(keyOf(at.argument as string))
    },
    BINGET: () => {
      recall(Number(at.argument))
    },
    LONG_BINGET: () => {
      recall(Number(at.argument))
    },
    PERSID: pushOther,
    BINPERSID: () => {
      pop()
      push(OTHER)
    },
    EXT1: extension,
    EXT2: extension,
    EXT4: extension,
    GLOBAL: () => {
      pushGlobal(at.argument as GlobalName)
    },
    STACK_GLOBAL: stackGlobal,
    INST: () => {
      const items = popMark()
      push(call(symbolOf(at.argument as GlobalName), { kind: 'list', items }))
    },
    OBJ: () => {
      const [called, ...items] = popMark()
      push(call(called ?? fail('makes an object of nothing'), { kind: 'list', items }))
    },
    REDUCE: () => {
      const args = pop()
      push(call(pop(), args))
    },
    NEWOBJ: () => {
      const args = pop()
      push(call(pop(), args))
    },
    NEWOBJ_EX: () => {
      const items = [pop(), pop()].reverse()
      push(call(pop(), { kind: 'list', items }))
    },
    BUILD: () => {
      const state = pop()
      const target = stack.at(-1) ?? fail('wants a value on an empty stack')
      change(target, target.kind === 'global' ? '__dict__' : '__setstate__', state)
      if (target.kind !== 'object' || target.isBuilt) return
      target.isBuilt = true
      if (target.trust !== 'known') findings.tell(at, `${target.of}.__setstate__`, false, state)
    },
  }

  let broken: Trace['broken']
  let isCutOff = false
  let wantedEnd: number | undefined
  try {
    for (let offset = begin; ; count += 1, offset = at.end) {
      at = readInstruction(pickle, offset, limits)
      if (count === limits.maxOpcodes) exceed(`has more than ${limits.maxOpcodes} opcodes`)
      if (at.offset < frameEnd && at.end > frameEnd)
        oddity ??= { offset: at.offset, why: 'has a frame that ends within an argument' }
      if (at.name === 'STOP') {
        pop()
        break
      }
      ACTIONS[at.name]()
    }
  } catch (error) {
    if (!(error instanceof PickleError)) throw error
    broken = { offset: error.offset, why: error.message }
    isCutOff = error.facts.isCutOff === true
    wantedEnd = error.facts.wantedEnd
  }
  return {
    begin,
    end: at.end,
    findings: findings.list,
    nested,
    broken,
    oddity,
    isCutOff,
    wantedEnd,
    count,
  }
}
