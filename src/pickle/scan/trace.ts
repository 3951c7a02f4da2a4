import { globalValue } from '../constructors.ts'
import type { OpcodeName } from '../opcodes.ts'
import { PickleError } from '../pickle-error.ts'
import {
  type GlobalName,
  type Instruction,
  readInstruction,
  type ReadLimits,
} from '../read-opcodes.ts'
import { OTHER, preview, type Symbol } from './symbols.ts'

// A pickle read as any Python would read it, every opcode of every protocol, with symbols in place of values: what it names
// and what it calls comes out, and nothing is named or called. It goes on after each finding, and what was found before
// a broken opcode stays: Python would have run it before it came there.

export interface TraceLimits extends ReadLimits {
  readonly maxOpcodes: number
  readonly maxValues: number
  readonly maxFindings: number
}

/** Something that a pickle names which isn't known to be plain data. */
export interface TraceFinding {
  /** Where it is called; where it is named if it isn't. */
  readonly offset: number
  /** `os.system` */
  readonly global: string
  readonly via: OpcodeName
  /** Whether it is called, not only named. */
  readonly invoked: boolean
  readonly argsPreview: string | undefined
}

/** A naming turns into the first call of what it names. */
type OpenFinding = { -readonly [K in keyof TraceFinding]: TraceFinding[K] }

export interface Trace {
  /** Behind STOP, or behind the last opcode that was read. */
  readonly end: number
  readonly findings: readonly TraceFinding[]
  /** Strings of bytes that it holds, which may be pickles themselves. */
  readonly nested: readonly { readonly offset: number; readonly bytes: Uint8Array }[]
  /** Why it wasn't read to its STOP. */
  readonly broken: { readonly offset: number; readonly why: string } | undefined
}

/** Reads what begins at `begin`. Never throws. */
export function trace(pickle: Uint8Array, begin: number, limits: TraceLimits): Trace {
  let stack: Symbol[] = []
  const below: Symbol[][] = []
  const memo = new Map<bigint, Symbol>()
  const findings: OpenFinding[] = []
  /** Findings of what is named and not called yet. */
  const named = new Map<Symbol, OpenFinding>()
  const nested: { offset: number; bytes: Uint8Array }[] = []
  let at: Instruction = { name: 'STOP', offset: begin, end: begin, argument: undefined }
  let frameEnd = Infinity
  let depth = 0

  const fail = (why: string): never => {
    throw new PickleError(at.offset, why)
  }

  function push(symbol: Symbol): void {
    depth += 1
    if (depth > limits.maxValues) fail('has too many values on its stack')
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

  function find(global: string, args?: Symbol): OpenFinding {
    if (findings.length === limits.maxFindings) fail('has more findings than are told')
    const { offset, name: via } = at
    const invoked = args !== undefined
    const finding = { offset, global, via, invoked, argsPreview: args && preview(args) }
    findings.push(finding)
    return finding
  }

  function name(global: GlobalName): void {
    const isKnown = globalValue(global.module, global.name) !== undefined
    const symbol: Symbol = { kind: 'global', global, isKnown }
    if (!isKnown) named.set(symbol, find(fullName(global)))
    push(symbol)
  }

  /** What a call gives; a finding unless what is called is known. */
  function call(called: Symbol, args: Symbol): Symbol {
    const what = calledName(called)
    if (what === undefined) return OTHER
    const finding = named.get(called)
    if (finding === undefined) find(what, args)
    else {
      named.delete(called)
      Object.assign(finding, { offset: at.offset, via: at.name, invoked: true, argsPreview: preview(args) }) // prettier-ignore
    }
    return { kind: 'result', of: what }
  }

  function stackGlobal(): void {
    const [last, module] = [pop(), pop()]
    if (module.kind === 'text' && last.kind === 'text')
      name({ module: module.text, name: last.text })
    else {
      const symbol: Symbol = { kind: 'result', of: 'what its stack names' }
      named.set(symbol, find(`${preview(module)}.${preview(last)}`))
      push(symbol)
    }
  }

  function extension(): void {
    const code = at.argument as bigint
    const what = `the extension ${code} of copyreg`
    const symbol: Symbol = { kind: 'result', of: what }
    named.set(symbol, find(what))
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
    push({ kind: 'number', number: at.argument as bigint | number })
  }
  const pushOther = (): void => {
    push(OTHER)
  }
  const list = (items: Symbol[]): void => {
    push({ kind: 'list', items })
  }
  const remember = (key: bigint): void => {
    if (memo.size === limits.maxValues) fail('remembers too many values')
    memo.set(key, stack.at(-1) ?? fail('wants a value on an empty stack'))
  }
  const recall = (key: bigint): void => {
    push(memo.get(key) ?? fail('asks for a value that it never kept'))
  }
  /** Of text protocols. */
  const keyOf = (line: string): bigint =>
    /^\d{1,18}$/.test(line.trim()) ? BigInt(line.trim()) : fail('has a key that is no number')
  /** A value that was added to what is below it. */
  const add = (symbols: readonly Symbol[]): void => {
    const target = stack.at(-1) ?? fail('wants a value on an empty stack')
    if (target.kind === 'list') for (const symbol of symbols) target.items.push(symbol)
  }

  const ACTIONS: Readonly<Record<Exclude<OpcodeName, 'STOP'>, () => void>> = {
    PROTO: () => undefined,
    FRAME: () => {
      frameEnd = at.end + Number(at.argument)
    },
    MARK: () => {
      if (below.length === limits.maxValues) fail('has too many marks open')
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
      push({ kind: 'text', text: (at.argument as string).replace(/^(['"])(.*)\1$/s, '$2') })
    },
    UNICODE: pushText,
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
      add([pop()])
    },
    APPENDS: () => {
      add(popMark())
    },
    ADDITEMS: () => {
      add(popMark())
    },
    SETITEM: () => {
      add([pop(), pop()].reverse())
    },
    SETITEMS: () => {
      add(popMark())
    },
    PUT: () => {
      remember(keyOf(at.argument as string))
    },
    BINPUT: () => {
      remember(at.argument as bigint)
    },
    LONG_BINPUT: () => {
      remember(at.argument as bigint)
    },
    MEMOIZE: () => {
      remember(BigInt(memo.size))
    },
    GET: () => {
      recall(keyOf(at.argument as string))
    },
    BINGET: () => {
      recall(at.argument as bigint)
    },
    LONG_BINGET: () => {
      recall(at.argument as bigint)
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
      name(at.argument as GlobalName)
    },
    STACK_GLOBAL: stackGlobal,
    INST: () => {
      const items = popMark()
      const global = at.argument as GlobalName
      const isKnown = globalValue(global.module, global.name) !== undefined
      push(call({ kind: 'global', global, isKnown }, { kind: 'list', items }))
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
      if (target.kind === 'result') find(`${target.of}.__setstate__`, state)
      if (target.kind === 'global' && !target.isKnown)
        find(`${fullName(target.global)}.__dict__`, state)
    },
  }

  let broken: Trace['broken']
  try {
    for (let count = 0, offset = begin; ; count += 1, offset = at.end) {
      at = readInstruction(pickle, offset, limits)
      if (count === limits.maxOpcodes) fail(`has more than ${limits.maxOpcodes} opcodes`)
      if (at.offset < frameEnd && at.end > frameEnd)
        fail('has a frame that ends within an argument')
      if (at.name === 'STOP') {
        pop()
        break
      }
      ACTIONS[at.name]()
    }
  } catch (error) {
    if (!(error instanceof PickleError)) throw error
    broken = { offset: error.offset, why: error.message }
  }
  return { end: at.end, findings, nested, broken }
}

const fullName = ({ module, name }: GlobalName): string => `${module}.${name}`

/** Of something that isn't known; undefined where it is. Calling what is no function fails in Python too. */
function calledName(called: Symbol): string | undefined {
  if (called.kind === 'global') return called.isKnown ? undefined : fullName(called.global)
  return called.kind === 'result' ? called.of : undefined
}
