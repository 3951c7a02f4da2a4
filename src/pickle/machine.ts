import { construct, globalValue, storageOf, Unfit } from './constructors.ts'
import type { OpcodeName } from './opcodes.ts'
import { PickleError } from './pickle-error.ts'
import {
  type GlobalName,
  type Instruction,
  readInstruction,
  type ReadLimits,
} from './read-opcodes.ts'
import {
  isKind,
  nameOf,
  shown,
  shownName,
  type Opaque,
  type Storage,
  type Value,
} from './values.ts'

// A restricted pickle machine: pickle.py's stack and memo, the opcodes that torch.save writes (protocols 2 and 3) and no
// others, and constructors.ts for all that is named. It builds data; there is nothing in it that could run anything.

export interface MachineLimits extends ReadLimits {
  readonly maxOpcodes: number
  /** Of the stack. */
  readonly maxValues: number
  /** Of the memo: PyTorch remembers about eleven for a parameter. */
  readonly maxMemo: number
  /** What all values take, roughly: five million opcodes can make a gigabyte of empty dicts. */
  readonly maxBuiltBytes: number
}

export interface MachineOptions {
  readonly limits: MachineLimits
  /** Objects of unknown classes become inert instead of being refused. */
  readonly isOpaqueAllowed: boolean
}

export interface Unpickled {
  readonly value: Value
  /** Behind STOP. */
  readonly end: number
  /** By key. */
  readonly storages: ReadonlyMap<string, Storage>
  readonly opaque: readonly Opaque[]
}

const PROTOCOLS: readonly bigint[] = [2n, 3n]

/** About what they take in memory. */
const VALUE_BYTES = 100
const DICT_BYTES = 300
const ITEM_BYTES = 50

type Action = (instruction: Instruction) => void

/** Reads the pickle that begins at `begin`. @throws {PickleError} */
export function unpickle(
  pickle: Uint8Array,
  begin: number,
  { limits, isOpaqueAllowed }: MachineOptions,
): Unpickled {
  let stack: Value[] = []
  /** What lies below each open mark. */
  const below: Value[][] = []
  let depth = 0
  let builtBytes = 0
  const memo = new Map<number, Value>()
  const storages = new Map<string, Storage>()
  const opaque: Opaque[] = []
  let at: Instruction = { name: 'STOP', offset: begin, end: begin, argument: undefined }

  function fail(message: string, facts: ConstructorParameters<typeof PickleError>[2] = {}): never {
    throw new PickleError(at.offset, message, { via: at.name, ...facts })
  }

  /** Counts what is about to be made. */
  function make(bytes: number): void {
    builtBytes += bytes
    if (builtBytes > limits.maxBuiltBytes)
      fail(`builds more than ${limits.maxBuiltBytes} bytes of values`)
  }

  function push(value: Value): void {
    if (depth === limits.maxValues) fail(`has more than ${limits.maxValues} values on its stack`)
    depth += 1
    stack.push(value)
  }

  function pop(): Value {
    const value = stack.pop()
    if (value === undefined) return fail('takes a value from an empty stack')
    depth -= 1
    return value
  }

  function top(): Value {
    const value = stack.at(-1)
    return value === undefined ? fail('wants a value on an empty stack') : value
  }

  /** The values since the last mark, which goes with them. */
  function popMark(): Value[] {
    const lower = below.pop()
    if (lower === undefined) return fail('wants a mark where there is none')
    const values = stack
    stack = lower
    depth -= values.length
    return values
  }

  function remember({ argument }: Instruction): void {
    if (memo.size === limits.maxMemo) fail(`remembers more than ${limits.maxMemo} values`)
    memo.set(Number(argument), top())
  }

  function recall({ argument }: Instruction): void {
    const value = memo.get(Number(argument))
    if (value === undefined)
      return fail(`asks for the value ${argument as bigint}, which it never kept`)
    push(value)
  }

  function append(values: readonly Value[]): void {
    const target = top()
    if (isKind(target, 'list')) for (const value of values) target.items.push(value)
    else if (!isKind(target, 'opaque')) fail('appends to what is no list')
  }

  function setItems(pairs: readonly Value[]): void {
    if (pairs.length % 2 === 1) fail('sets a key without a value')
    const target = top()
    if (isKind(target, 'opaque')) return
    if (!isKind(target, 'dict')) return fail('sets a key of what is no dict')
    make((pairs.length / 2) * ITEM_BYTES)
    for (let i = 0; i < pairs.length; i += 2) {
      const [key = null, value = null] = [pairs[i], pairs[i + 1]]
      if (target.entries.has(key)) fail(`sets the key ${shown(key)} twice`)
      target.entries.set(key, value)
    }
  }

  /** Keys of the dicts that are being filled, outermost first. */
  function path(): string[] {
    const keys = [...below.slice(1).map((values) => values.at(-2)), stack.at(-1)]
    return keys.filter((key) => typeof key === 'string').map((key) => key.slice(0, 80))
  }

  function pushGlobal(global: GlobalName): void {
    make(DICT_BYTES)
    const known = globalValue(global.module, global.name)
    if (known !== undefined) {
      push(known)
      return
    }
    if (!isOpaqueAllowed) fail(`names ${shownName(global)}`, { global, path: path() })
    const inert: Opaque = { kind: 'opaque', global, offset: at.offset }
    opaque.push(inert)
    push(inert)
  }

  function reduce(): void {
    const args = pop()
    const called = pop()
    make(DICT_BYTES)
    if (isKind(called, 'opaque')) {
      push({ ...called })
      return
    }
    if (!isKind(called, 'global')) return fail('calls what is no function')
    if (!isKind(args, 'tuple')) return fail(`calls ${nameOf(called)} with what is no tuple`)
    // A call may copy its arguments, which the memo can name again and again.
    for (const arg of args.items) make(bytesOfCopy(arg))
    const built = attempt(nameOf(called), () => construct(nameOf(called), args.items))
    push(built ?? fail(`calls ${shownName(called)}`, { global: called, path: path() }))
  }

  function attempt<T>(what: string, build: () => T): T {
    try {
      return build()
    } catch (error) {
      if (error instanceof Unfit) return fail(`${what} ${error.message}`)
      throw error
    }
  }

  function build(): void {
    const state = pop()
    const target = top()
    if (isKind(target, 'opaque')) return
    // Attributes of an OrderedDict, such as `_metadata` of a module's state, are no part of its items.
    if (!isKind(target, 'dict') || target.hasAttributes !== true || !isKind(state, 'dict'))
      fail('sets attributes of what has none')
  }

  function newObject(): void {
    pop()
    const type = pop()
    if (!isKind(type, 'opaque')) fail('makes an object of a class')
    push(type)
  }

  function loadPersistent(): void {
    const id = pop()
    make(VALUE_BYTES)
    const storage = attempt('a persistent id', () => storageOf(id))
    const before = storages.get(storage.key)
    if (before !== undefined && (before.dtype !== storage.dtype || before.count !== storage.count))
      fail(`describes the storage ${shown(storage.key)} in two ways`)
    storages.set(storage.key, before ?? storage)
    push(before ?? storage)
  }

  const tuple = (items: readonly Value[]): void => {
    make(VALUE_BYTES)
    push({ kind: 'tuple', items })
  }
  const pushArgument: Action = ({ argument, offset, end }) => {
    make(argument instanceof Uint8Array ? DICT_BYTES : end - offset)
    push(argument as Value)
  }

  const ACTIONS: Partial<Record<OpcodeName, Action>> = {
    PROTO: ({ argument, offset }) => {
      if (offset !== begin || !PROTOCOLS.includes(argument as bigint))
        fail(`is of protocol ${argument as bigint}; torch.save writes 2 and 3`)
    },
    NONE: () => {
      push(null)
    },
    NEWTRUE: () => {
      push(true)
    },
    NEWFALSE: () => {
      push(false)
    },
    BININT: pushArgument,
    BININT1: pushArgument,
    BININT2: pushArgument,
    LONG1: pushArgument,
    BINFLOAT: pushArgument,
    BINUNICODE: pushArgument,
    SHORT_BINSTRING: pushArgument,
    BINBYTES: pushArgument,
    SHORT_BINBYTES: pushArgument,
    EMPTY_LIST: () => {
      make(VALUE_BYTES)
      push({ kind: 'list', items: [] })
    },
    EMPTY_DICT: () => {
      make(DICT_BYTES)
      push({ kind: 'dict', entries: new Map() })
    },
    EMPTY_TUPLE: () => {
      tuple([])
    },
    TUPLE1: () => {
      tuple([pop()])
    },
    TUPLE2: () => {
      tuple([pop(), pop()].reverse())
    },
    TUPLE3: () => {
      tuple([pop(), pop(), pop()].reverse())
    },
    TUPLE: () => {
      tuple(popMark())
    },
    MARK: () => {
      if (below.length === limits.maxValues) fail('has too many marks open')
      below.push(stack)
      stack = []
    },
    APPEND: () => {
      append([pop()])
    },
    APPENDS: () => {
      append(popMark())
    },
    SETITEM: () => {
      setItems([pop(), pop()].reverse())
    },
    SETITEMS: () => {
      setItems(popMark())
    },
    BINPUT: remember,
    LONG_BINPUT: remember,
    BINGET: recall,
    LONG_BINGET: recall,
    BINPERSID: loadPersistent,
    GLOBAL: ({ argument }) => {
      pushGlobal(argument as GlobalName)
    },
    REDUCE: reduce,
    BUILD: build,
    NEWOBJ: newObject,
  }

  for (let count = 0, offset = begin; ; count += 1, offset = at.end) {
    at = readInstruction(pickle, offset, limits)
    if (count === limits.maxOpcodes) fail(`has more than ${limits.maxOpcodes} opcodes`)
    if (count === 0 && at.name !== 'PROTO')
      fail('does not begin with PROTO, as protocols 2 and 3 do')
    if (at.name === 'STOP') break
    const action =
      ACTIONS[at.name] ?? fail(`has the opcode ${at.name}, which torch.save does not write`)
    action(at)
  }
  const [value, ...more] = stack
  if (value === undefined || more.length > 0 || below.length > 0)
    return fail('stops with another number of values than one')
  return { value, end: at.end, storages, opaque }
}

/** Of a value, not of its parts. */
function bytesOfCopy(value: Value): number {
  if (typeof value === 'string') return value.length
  if (isKind(value, 'dict')) return value.entries.size * ITEM_BYTES
  return isKind(value, 'list') || isKind(value, 'tuple') ? value.items.length * ITEM_BYTES : 0
}
