import { type ArgumentKind, type OpcodeName, OPCODES } from './opcodes.ts'
import { PickleError } from './pickle-error.ts'

export interface GlobalName {
  readonly module: string
  readonly name: string
}

/** Integers are bigints, and floats are numbers. Bytes are a view of the pickle's. */
export type Argument = undefined | bigint | number | string | Uint8Array | GlobalName

export interface Instruction {
  readonly name: OpcodeName
  /** Of its first byte. */
  readonly offset: number
  /** Behind its last byte. */
  readonly end: number
  readonly argument: Argument
}

export interface ReadLimits {
  /** Also of a line of text: numbers, names, escaped strings. */
  readonly maxStringBytes: number
  readonly maxBytes: number
  /** Text that is no UTF-8, and numbers beyond all measure, are read as something: some Python reads them. */
  readonly isLenient?: true
}

/** A number of more bytes is none that anybody counts with. */
const MAX_LONG_BYTES = 4096

/** The instruction at `offset`; never reads beyond the bytes. @throws {PickleError} */
export function readInstruction(
  pickle: Uint8Array,
  offset: number,
  limits: ReadLimits,
): Instruction {
  const code = pickle[offset]
  if (code === undefined) throw new PickleError(offset, 'ends without STOP', { isCutOff: true, wantedEnd: offset + 1 }) // prettier-ignore
  const opcode = OPCODES.get(code)
  if (opcode === undefined)
    throw new PickleError(offset, `has the unknown opcode 0x${code.toString(16).padStart(2, '0')}`)
  const { argument, end } = READERS[opcode.argument]({ pickle, offset, limits })
  return { name: opcode.name, offset, end, argument }
}

interface Place {
  readonly pickle: Uint8Array
  readonly offset: number
  readonly limits: ReadLimits
}

interface Read {
  readonly argument: Argument
  readonly end: number
}

const READERS: Readonly<Record<ArgumentKind, (place: Place) => Read>> = {
  none: ({ offset }) => ({ argument: undefined, end: offset + 1 }),
  uint8: (place) => integer(place, 1, (view) => BigInt(view.getUint8(0))),
  uint16: (place) => integer(place, 2, (view) => BigInt(view.getUint16(0, true))),
  uint32: (place) => integer(place, 4, (view) => BigInt(view.getUint32(0, true))),
  uint64: (place) => integer(place, 8, (view) => view.getBigUint64(0, true)),
  int32: (place) => integer(place, 4, (view) => BigInt(view.getInt32(0, true))),
  float64: (place) => integer(place, 8, (view) => view.getFloat64(0)),
  long1: (place) => long(place, 1),
  long4: (place) => long(place, 4),
  bytes1: (place) => counted(place, 1, place.limits.maxBytes),
  bytes4: (place) => counted(place, 4, place.limits.maxBytes),
  bytes8: (place) => counted(place, 8, place.limits.maxBytes),
  text1: (place) => text(place, 1),
  text4: (place) => text(place, 4),
  text8: (place) => text(place, 8),
  string1: (place) => text(place, 1),
  string4: (place) => text(place, 4),
  line: (place) => {
    const { line, end } = lineAt(place, place.offset + 1)
    return { argument: line, end }
  },
  global: (place) => {
    const module = lineAt(place, place.offset + 1)
    const name = lineAt(place, module.end)
    return { argument: { module: module.line, name: name.line }, end: name.end }
  },
}

function viewOf({ pickle, offset }: Place, begin: number, length: number): Uint8Array {
  if (length > pickle.length - begin)
    throw new PickleError(offset, 'ends within an argument', { isCutOff: true, wantedEnd: begin + length }) // prettier-ignore
  return pickle.subarray(begin, begin + length)
}

function integer(place: Place, bytes: number, read: (view: DataView) => bigint | number): Read {
  const found = viewOf(place, place.offset + 1, bytes)
  const argument = read(new DataView(found.buffer, found.byteOffset, bytes))
  return { argument, end: place.offset + 1 + bytes }
}

function counted(
  place: Place,
  width: 1 | 4 | 8,
  most: number,
): { argument: Uint8Array; end: number } {
  const begin = place.offset + 1 + width
  const count = uint(viewOf(place, place.offset + 1, width))
  if (count > BigInt(most))
    throw new PickleError(
      place.offset,
      `has an argument of ${count} bytes; at most ${most} are read`,
      { wantedEnd: begin + Number(count) },
    )
  const argument = viewOf(place, begin, Number(count))
  return { argument, end: begin + argument.length }
}

function uint(bytes: Uint8Array): bigint {
  return BigInt(`0x0${Buffer.from(bytes).reverse().toString('hex')}`)
}

function long(place: Place, width: 1 | 4): Read {
  if (place.limits.isLenient === true) {
    const { argument: bytes, end } = counted(place, width, place.limits.maxBytes)
    if (bytes.length > MAX_LONG_BYTES) return { argument: undefined, end }
  }
  const { argument: bytes, end } = counted(place, width, MAX_LONG_BYTES)
  return { argument: BigInt.asIntN(bytes.length * 8, uint(bytes)), end }
}

/** CPython lets halves of surrogate pairs through as they are ('surrogatepass'); no name of a tensor has any. */
function text(place: Place, width: 1 | 4 | 8): Read {
  const { argument: bytes, end } = counted(place, width, place.limits.maxStringBytes)
  return { argument: decoded(place, bytes), end }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const anyText = new TextDecoder('utf-8', { ignoreBOM: true })

function decoded({ offset, limits }: Place, bytes: Uint8Array): string {
  if (limits.isLenient === true) return anyText.decode(bytes)
  try {
    return utf8.decode(bytes)
  } catch {
    throw new PickleError(offset, 'has a string that is not UTF-8')
  }
}

function lineAt(place: Place, begin: number): { line: string; end: number } {
  const { pickle, offset, limits } = place
  const bytes = pickle.subarray(begin, begin + limits.maxStringBytes)
  const length = bytes.indexOf(0x0a)
  if (length === -1)
    throw new PickleError(offset, 'has an argument without an end', {
      ...(bytes.length < limits.maxStringBytes && { isCutOff: true }),
      wantedEnd: begin + bytes.length + 1,
    })
  return { line: decoded(place, bytes.subarray(0, length)), end: begin + length + 1 }
}
