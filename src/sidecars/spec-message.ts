// A message of protobuf whose fields are not known by name (the specs of a model gain some with each version): every one
// must be a whole field of one of the wire types (protobuf's encoding: VARINT, I64, LEN, I32; groups are of the past).

const [VARINT, I64, LEN, I32] = [0, 1, 2, 5] as const
const MAX_TAG_BYTES = 5
const MAX_NUMBER_BYTES = 10

/** How gzip and pickles of protocols 2 to 5 begin, which is too short to be looked for where it may come about by chance. */
const FOREIGN_STARTS: readonly (readonly [first: number, least: number, most: number])[] = [
  [0x1f, 0x8b, 0x8b],
  [0x80, 0x02, 0x05],
]

export interface SpecMessage {
  /** Takes the next byte, behind which `left` are to come; what is wrong with it, or undefined. */
  read: (byte: number, left: number) => string | undefined
}

export function createSpecMessage(): SpecMessage {
  let state: 'tag' | 'number' | 'length' | 'bytes' = 'tag'
  /** A number in base 128, least first, and of how many bytes so far. */
  let value = 0
  let digits = 0
  /** Bytes to come of a field, and its first two. */
  let rest = 0
  let isText = false
  let before: number | undefined

  function read(byte: number, left: number): string | undefined {
    const trouble = state === 'bytes' ? takeByte(byte) : takeNumber(byte, left)
    return trouble ?? (left === 0 && state !== 'tag' ? 'a field is cut short' : undefined)
  }

  function takeNumber(byte: number, left: number): string | undefined {
    value += (byte & 0x7f) * 128 ** digits
    digits += 1
    const most = state === 'number' ? MAX_NUMBER_BYTES : MAX_TAG_BYTES
    if (byte >= 0x80) return digits < most ? undefined : 'a number is too long'
    const whole = value
    value = 0
    digits = 0
    if (state === 'tag') return beginField(whole, left)
    if (state === 'length') return beginBytes(whole, left, true)
    state = 'tag'
    return undefined
  }

  function beginField(tag: number, left: number): string | undefined {
    if (tag < 8) return 'a field has no number'
    const wireType = tag % 8
    if (wireType === VARINT) state = 'number'
    else if (wireType === LEN) state = 'length'
    else if (wireType === I64) return beginBytes(8, left, false)
    else if (wireType === I32) return beginBytes(4, left, false)
    else return 'a field is of no known wire type'
    return undefined
  }

  function beginBytes(count: number, left: number, isLong: boolean): string | undefined {
    if (count > left) return 'a field is longer than its message'
    state = count === 0 ? 'tag' : 'bytes'
    rest = count
    isText = isLong
    before = undefined
    return undefined
  }

  function takeByte(byte: number): string | undefined {
    const first = before
    const isForeign =
      isText &&
      FOREIGN_STARTS.some(([one, least, most]) => first === one && byte >= least && byte <= most)
    before = before === undefined ? byte : -1
    rest -= 1
    if (rest === 0) state = 'tag'
    return isForeign ? 'a field begins as an archive or a pickle does' : undefined
  }

  return { read }
}
