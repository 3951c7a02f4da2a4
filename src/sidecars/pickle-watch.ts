// Pickles of protocols 0 and 1 are text, and what loads them imports and calls as it reads, whatever follows. So text is
// read as Python's unpicklers would read it (opcodes as in pickletools), none of it done, for as long as one of them
// might go on: pickle.load, which is in C, and pickle._load, which is in Python. The first import is the end: a module
// that is imported has run, and what came of it need not be called to be changed (BUILD, SETITEM, APPEND). The C one
// wants a mark beneath INST, the other imports first. Without an import nothing but values comes about, and no call.

import { createModuleName } from './module-name.ts'

type Argument =
  | { readonly kind: 'bytes'; readonly count: number }
  /** Bytes, whose number comes first, little-endian, in so many bytes. */
  | { readonly kind: 'counted'; readonly width: number }
  /** Whatever stands on it is taken: which numbers a loader reads is a long story, and another in each one. */
  | { readonly kind: 'line' }
  /** A line with a module's name, and another that no longer matters: the module has run by then. */
  | { readonly kind: 'module' }

interface Opcode {
  readonly argument: Argument
  /** Taken off the stack: so many values, or all down to the last mark. */
  readonly takes: number | 'mark'
  readonly gives: number
}

const LINE_FEED = 0x0a
const NONE: Argument = { kind: 'bytes', count: 0 }
const bytes = (count: number): Argument => ({ kind: 'bytes', count })
const prefixed = (width: number): Argument => ({ kind: 'counted', width })
const line: Argument = { kind: 'line' }
const module: Argument = { kind: 'module' }

const OPCODES: ReadonlyMap<number, Opcode> = new Map(
  (
    [
      ['N)]}\x88\x89\x8f\x97', NONE, 0, 1],
      ['ILFSVPg', line, 0, 1],
      ['K', bytes(1), 0, 1],
      ['M', bytes(2), 0, 1],
      ['J', bytes(4), 0, 1],
      ['G', bytes(8), 0, 1],
      ['UC\x8a\x8c', prefixed(1), 0, 1],
      ['TXB\x8b', prefixed(4), 0, 1],
      ['\x8d\x8e\x96', prefixed(8), 0, 1],
      ['h', bytes(1), 0, 1],
      ['j', bytes(4), 0, 1],
      ['p', line, 1, 1],
      ['q', bytes(1), 1, 1],
      ['r', bytes(4), 1, 1],
      ['\x94\x98Q\x85', NONE, 1, 1],
      ['0', NONE, 1, 0],
      ['1', NONE, 'mark', 0],
      ['2', NONE, 1, 2],
      ['a\x86', NONE, 2, 1],
      ['s\x87', NONE, 3, 1],
      ['dlt\x91', NONE, 'mark', 1],
      ['eu\x90', NONE, 'mark', 0],
      ['\x80', bytes(1), 0, 0],
      ['\x95', bytes(8), 0, 0],
      ['Rb\x81', NONE, 2, 1],
      ['\x92', NONE, 3, 1],
      ['o', NONE, 'mark', 1],
      ['ci', module, 0, 0],
    ] as const
  ).flatMap(([codes, argument, takes, gives]) =>
    [...Buffer.from(codes, 'latin1')].map((code): [number, Opcode] => [
      code,
      { argument, takes, gives },
    ]),
  ),
)
/** EXT1, EXT2, EXT4 and STACK_GLOBAL import what a registry or the stack names. */
const IMPORTS: ReadonlySet<number> = new Set([0x82, 0x83, 0x84, 0x93])
const [MARK, STOP, POP] = Buffer.from('(.0')
/** More than anything but an attack has open at once. */
const MAX_MARKS = 1000

/** Reads text as it comes. */
export interface PickleWatch {
  /** Where in `bytes` a loader would import what the text names; −1 while it would not. */
  read: (bytes: Uint8Array) => number
  /** The text is over: whether a loader would import what its last line names, which no line feed ends. */
  end: () => boolean
}

export function createPickleWatch(): PickleWatch {
  /** False once the bytes are no pickle. */
  let isAlive = true
  let code: number | undefined
  let opcode: Opcode | undefined
  /** Of the argument: bytes to come, and how much of a count was read. */
  let left = 0
  let counted = 0
  let count = 0
  let name = createModuleName()
  /** Values since the last mark, and below each mark. */
  let depth = 0
  const below: number[] = []

  /** True where something is imported, or could be by what lies deeper than this looks. */
  function begin(byte: number): boolean {
    if (byte === MARK) {
      below.push(depth)
      depth = 0
      return below.length > MAX_MARKS
    }
    if (byte === STOP) return stop()
    if (IMPORTS.has(byte)) return true
    opcode = OPCODES.get(byte)
    if (opcode === undefined) return die()
    code = byte
    counted = 0
    count = 0
    left = opcode.argument.kind === 'bytes' ? opcode.argument.count : -1
    if (opcode.argument.kind === 'module') name = createModuleName()
    return left === 0 && perform(opcode)
  }

  /** Some files are several pickles, one behind the other. */
  function stop(): false {
    if (depth === 0) return die()
    depth = 0
    below.length = 0
    return false
  }

  function die(): false {
    isAlive = false
    return false
  }

  /** Takes what it can of the argument from `from` on, a byte at least; returns how far. */
  function readArgument(bytes: Uint8Array, from: number, { argument }: Opcode): number {
    if (argument.kind === 'line') return readLine(bytes, from)
    if (left === -1 && argument.kind === 'counted') {
      count += (bytes[from] ?? 0) * 256 ** counted
      counted += 1
      if (counted === argument.width) left = count
      return from + 1
    }
    const taken = Math.min(left, bytes.length - from)
    left -= taken
    return from + taken
  }

  function readLine(bytes: Uint8Array, from: number): number {
    const end = bytes.indexOf(LINE_FEED, from)
    if (end === -1) return bytes.length
    left = 0
    return end + 1
  }

  function perform({ takes, gives }: Opcode): false {
    opcode = undefined
    if (!take(takes)) return die()
    depth += gives
    return false
  }

  function take(takes: Opcode['takes']): boolean {
    if (takes !== 'mark' && depth >= takes) {
      depth -= takes
      return true
    }
    // POP takes a mark where there is no value on it.
    if (takes !== 'mark' && code !== POP) return false
    const beneath = below.pop()
    if (beneath === undefined) return false
    depth = beneath
    return true
  }

  /** Whether the byte makes a loader import something. */
  function readName(byte: number): boolean {
    const verdict = name.read(byte)
    return verdict === 'imports' || (verdict === 'fails' && die())
  }

  return {
    read(bytes) {
      for (let i = 0; isAlive && i < bytes.length;) {
        let imports: boolean
        if (opcode === undefined || opcode.argument.kind === 'module') {
          const byte = bytes[i] ?? 0
          imports = opcode === undefined ? begin(byte) : readName(byte)
          i += 1
        } else {
          i = readArgument(bytes, i, opcode)
          imports = left === 0 && perform(opcode)
        }
        if (imports) return i - 1
      }
      return -1
    },
    end: () => isAlive && opcode?.argument.kind === 'module' && name.end(),
  }
}
