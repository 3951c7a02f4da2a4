import { XetError } from './xet-error.ts'

/** A length of 15 in a token goes on in the bytes after it, up to the first that isn't 255. */
const LENGTH_GOES_ON = 15
const SHORTEST_MATCH = 4
/** From here on the engine's own copies are faster than a loop. */
const LONG_COPY_BYTES = 32

/** Where a block's bytes go. */
interface Place {
  readonly into: Uint8Array
  readonly at: number
  /** How far back a match may reach: the block's own start, or that of the blocks it is linked to. */
  readonly windowBegin: number
}

/**
 * Unpacks one LZ4 block, never writing beyond the end of `into`.
 *
 * ```
 * repeated  u8 token: literals << 4 | match - 4
 *           more of the literals' length, the literals
 *           u16 LE how far back the match is, more of its length    (absent after the last literals)
 * ```
 * https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
 *
 * @returns where the block's bytes end in `into`
 * @throws XetError
 */
export function decodeBlock(block: Uint8Array, { into, at, windowBegin }: Place): number {
  let read = 0
  let written = at

  function lengthFrom(bits: number): number {
    if (bits < LENGTH_GOES_ON) return bits
    let length = bits
    for (;;) {
      const more = block[read]
      if (more === undefined) throw truncated()
      read += 1
      length += more
      if (more < 255) return length
    }
  }

  function copyLiterals(length: number): void {
    if (length > block.length - read) throw truncated()
    if (length > into.length - written) throw tooLong(into.length)
    if (length >= LONG_COPY_BYTES) into.set(block.subarray(read, read + length), written)
    else for (let i = 0; i < length; i += 1) into[written + i] = block[read + i] ?? 0
    read += length
    written += length
  }

  function copyMatch(back: number, length: number): void {
    if (back === 0 || back > written - windowBegin)
      throw new XetError('lz4_invalid', 'a match of the LZ4 data begins before the data does')
    if (length > into.length - written) throw tooLong(into.length)
    const from = written - back
    if (back >= length && length >= LONG_COPY_BYTES) into.copyWithin(written, from, from + length)
    else if (back === 1) into.fill(into[from] ?? 0, written, written + length)
    else for (let i = 0; i < length; i += 1) into[written + i] = into[from + i] ?? 0
    written += length
  }

  while (read < block.length) {
    const token = block[read] ?? 0
    read += 1
    copyLiterals(lengthFrom(token >>> 4))
    if (read === block.length) return written
    if (block.length - read < 2) throw truncated()
    const back = (block[read] ?? 0) | ((block[read + 1] ?? 0) << 8)
    read += 2
    copyMatch(back, lengthFrom(token & 15) + SHORTEST_MATCH)
  }
  throw truncated()
}

export const truncated = () => new XetError('lz4_truncated', 'the LZ4 data ends in the middle')

export const tooLong = (limit: number) =>
  new XetError('lz4_too_long', `the LZ4 data holds more than the ${limit} bytes that it may`)
