// Pickles of protocols 0 and 1 are text, and what loads them calls as it reads, whatever follows. So text is read as
// Python's unpickler would read it (opcodes as in pickletools), none of it done, for as long as that succeeds.

/** Tells whether a byte may stand in a line that an opcode reads. */
type Allowed = (byte: number) => boolean

type Argument =
  | { readonly kind: 'bytes'; readonly count: number }
  /** Bytes, whose number comes first, little-endian, in so many bytes. */
  | { readonly kind: 'counted'; readonly width: number }
  | { readonly kind: 'lines'; readonly count: number; readonly allowed: Allowed }

interface Opcode {
  readonly argument: Argument
  /** Taken off the stack: so many values, or all down to the last mark. */
  readonly takes: number | 'mark'
  readonly gives: number
  /** Finds something by its name, or calls what was found. */
  readonly does: 'imports' | 'calls' | undefined
}

const LINE_FEED = 0x0a
const isWithin = (characters: string): Allowed => {
  const codes: ReadonlySet<number> = new Set(Buffer.from(characters))
  return (byte) => codes.has(byte)
}
const any: Allowed = () => true
const integer = isWithin('0123456789+-_L \t\r')
const float = isWithin('0123456789+-_.eEinfatyINFATY \t\r')
/** Names of modules and of what they hold: prose has spaces, and hardly ever gets further. */
const name: Allowed = (byte) => byte > 0x20

const NONE: Argument = { kind: 'bytes', count: 0 }
const bytes = (count: number): Argument => ({ kind: 'bytes', count })
const prefixed = (width: number): Argument => ({ kind: 'counted', width })
const line = (allowed: Allowed): Argument => ({ kind: 'lines', count: 1, allowed })
const names: Argument = { kind: 'lines', count: 2, allowed: name }

const OPCODES: ReadonlyMap<number, Opcode> = new Map(
  (
    [
      ['N)]}\x88\x89\x8f\x97', NONE, 0, 1],
      ['IL', line(integer), 0, 1],
      ['F', line(float), 0, 1],
      ['SVP', line(any), 0, 1],
      ['K', bytes(1), 0, 1],
      ['M', bytes(2), 0, 1],
      ['J', bytes(4), 0, 1],
      ['G', bytes(8), 0, 1],
      ['UC\x8a\x8c', prefixed(1), 0, 1],
      ['TXB\x8b', prefixed(4), 0, 1],
      ['\x8d\x8e\x96', prefixed(8), 0, 1],
      ['g', line(integer), 0, 1],
      ['h', bytes(1), 0, 1],
      ['j', bytes(4), 0, 1],
      ['p', line(integer), 1, 1],
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
      ['c', names, 0, 1, 'imports'],
      ['\x93', NONE, 2, 1, 'imports'],
      ['\x82', bytes(1), 0, 1, 'imports'],
      ['\x83', bytes(2), 0, 1, 'imports'],
      ['\x84', bytes(4), 0, 1, 'imports'],
      ['Rb\x81', NONE, 2, 1, 'calls'],
      ['\x92', NONE, 3, 1, 'calls'],
      ['o', NONE, 'mark', 1, 'calls'],
      ['i', names, 'mark', 1, 'calls'],
    ] as const
  ).flatMap(([codes, argument, takes, gives, does]) =>
    [...Buffer.from(codes, 'latin1')].map((code): [number, Opcode] => [
      code,
      { argument, takes, gives, does },
    ]),
  ),
)
const [MARK, STOP, POP, INST] = Buffer.from('(.0i')
/** More than anything but an attack has open at once. */
const MAX_MARKS = 1000

/** Reads text as it comes. */
export interface PickleWatch {
  /** Where in `bytes` a loader would call something that the text names; −1 while it would not. */
  read: (bytes: Uint8Array) => number
}

export function createPickleWatch(): PickleWatch {
  /** False once the bytes are no pickle. */
  let isAlive = true
  let code: number | undefined
  let opcode: Opcode | undefined
  /** Of the argument: bytes or lines to come, and how much of a count was read. */
  let left = 0
  let counted = 0
  let count = 0
  /** Values since the last mark, and below each mark. */
  let depth = 0
  const below: number[] = []
  let hasImported = false

  function begin(byte: number): boolean {
    if (byte === MARK) {
      below.push(depth)
      depth = 0
      return below.length > MAX_MARKS
    }
    if (byte === STOP) return stop()
    opcode = OPCODES.get(byte)
    if (opcode === undefined) return die()
    code = byte
    counted = 0
    count = 0
    left = opcode.argument.kind === 'counted' ? -1 : opcode.argument.count
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
    if (argument.kind === 'lines') return readLine(bytes, from, argument.allowed)
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

  function readLine(bytes: Uint8Array, from: number, allowed: Allowed): number {
    const end = bytes.indexOf(LINE_FEED, from)
    const part = bytes.subarray(from, end === -1 ? bytes.length : end)
    if (allowed !== any && !part.every(allowed)) {
      die()
      return bytes.length
    }
    if (end !== -1) left -= 1
    return from + part.length + (end === -1 ? 0 : 1)
  }

  function perform({ takes, gives, does }: Opcode): boolean {
    opcode = undefined
    if (!take(takes)) return die()
    depth += gives
    hasImported ||= does === 'imports'
    return does === 'calls' && (hasImported || code === INST)
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

  return {
    read(bytes) {
      for (let i = 0; isAlive && i < bytes.length;) {
        let calls: boolean
        if (opcode === undefined) {
          calls = begin(bytes[i] ?? 0)
          i += 1
        } else {
          i = readArgument(bytes, i, opcode)
          calls = left === 0 && perform(opcode)
        }
        if (calls) return i - 1
      }
      return -1
    },
  }
}
