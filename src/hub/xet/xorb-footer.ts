import { XetError } from './xet-error.ts'
import type { XorbIndex } from './xorb-index.ts'

const HASH_BYTES = 32
/** `XETBLOB` and version 1, `XBLBHSH` and version 0, `XBLBBND` and version 1. */
const START = ascii('XETBLOB\x01')
const HASHES_START = ascii('XBLBHSH\0')
const BOUNDARIES_START = ascii('XBLBBND\x01')
const FIXED_BYTES = 96

/** What a footer of so many chunks takes, its own length at the end included. */
export const footerBytesFor = (chunks: number) => FIXED_BYTES + chunks * (HASH_BYTES + 8)

/** Whether 8 bytes where a chunk's header was due begin a footer: no chunk is of version 88. */
export const isFooterStart = (bytes: Uint8Array) => startsWith(bytes, 0, START)

/**
 * Checks the footer that a client may leave behind a xorb's chunks. It says nothing that the chunks' headers don't,
 * but one that says something else shows that the xorb isn't what its writer took it for. The hashes aren't looked
 * at: a file is proved by its SHA-256.
 *
 * ```
 *  0  "XETBLOB" u8 1          the xorb's hash
 * 40  "XBLBHSH" u8 0          u32 LE n, n hashes
 *     "XBLBBND" u8 1          u32 LE n, n u32 LE ends of chunks in the body, n u32 LE ends of chunks unpacked
 *     u32 LE n                u32 LE from the end to the hashes, u32 LE from there to the boundaries, 16 free bytes
 *     u32 LE                  the footer's length without these four
 * ```
 *
 * @throws XetError
 */
export function checkFooter(footer: Uint8Array, index: XorbIndex): void {
  const view = new DataView(footer.buffer, footer.byteOffset, footer.length)
  const n = index.chunkCount
  const hashes = START.length + HASH_BYTES
  const boundaries = hashes + 12 + n * HASH_BYTES
  const counts = boundaries + 12 + n * 8
  const end = footer.length - 4

  const isSound =
    startsWith(footer, 0, START) &&
    startsWith(footer, hashes, HASHES_START) &&
    startsWith(footer, boundaries, BOUNDARIES_START) &&
    holds(view, hashes + 8, [n]) &&
    holds(view, boundaries + 8, [n]) &&
    holds(view, boundaries + 12, index.starts.subarray(1)) &&
    holds(view, boundaries + 12 + n * 4, index.rawStarts.subarray(1)) &&
    holds(view, counts, [n, end - hashes, end - boundaries]) &&
    holds(view, end, [end])
  if (!isSound)
    throw new XetError('xorb_footer_invalid', "the xorb's footer doesn't fit the chunks before it")
}

function holds(view: DataView, at: number, words: Iterable<number>): boolean {
  let place = at
  for (const word of words) {
    if (view.getUint32(place, true) !== word) return false
    place += 4
  }
  return true
}

const startsWith = (bytes: Uint8Array, at: number, start: Uint8Array) =>
  start.every((byte, i) => bytes[at + i] === byte)

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0))
}
