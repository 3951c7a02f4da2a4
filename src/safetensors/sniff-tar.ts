import type { Guess } from './sniff.ts'

// A tar header (POSIX.1-2017 pax, ustar): name 0–99, mode 100–107, …, checksum 148–155, …, "ustar" at 257.
const HEADER_BYTES = 512
const NAME_BYTES = 100
const MODE_AT = 100
const CHECKSUM_AT = 148
const NUMBER_BYTES = 8
const MAGIC_AT = 257
const MAGIC = new TextEncoder().encode('ustar')

const SPACE = 0x20

/** A name, then octal numbers, then the magic or (before POSIX) just a checksum that is right. */
export function sniffTar(head: Uint8Array): Guess | undefined {
  if (!hasName(head) || !isNumber(head, MODE_AT) || !isNumber(head, CHECKSUM_AT)) return undefined
  const magic = head.subarray(MAGIC_AT, MAGIC_AT + MAGIC.length)
  if (magic.length === MAGIC.length && magic.every((byte, i) => byte === MAGIC[i]))
    return { looksLike: 'tar', isCertain: true }
  if (head.length < HEADER_BYTES) return { looksLike: 'unknown', isCertain: false }
  return isChecksumRight(head) ? { looksLike: 'tar', isCertain: true } : undefined
}

/** Printable bytes, the first of them ASCII, then NULs only; as far as the head goes. */
function hasName(head: Uint8Array): boolean {
  const name = head.subarray(0, NAME_BYTES)
  const end = name.indexOf(0)
  const text = end === -1 ? name : name.subarray(0, end)
  const [first = 0] = text
  if (first <= SPACE || first > 0x7e) return false
  const isPrintable = text.every((byte) => byte >= SPACE && byte !== 0x7f && byte < 0xf8)
  return isPrintable && (end === -1 || name.subarray(end).every((byte) => byte === 0))
}

/** Octal digits, spaces and NULs; as far as the head goes. */
function isNumber(head: Uint8Array, at: number): boolean {
  return head
    .subarray(at, at + NUMBER_BYTES)
    .every((byte) => byte === 0 || byte === SPACE || (byte >= 0x30 && byte <= 0x37))
}

/** The sum of the header's bytes, those of the checksum itself taken as spaces. */
function isChecksumRight(head: Uint8Array): boolean {
  const field = head.subarray(CHECKSUM_AT, CHECKSUM_AT + NUMBER_BYTES)
  const written = parseInt(String.fromCharCode(...field).replaceAll('\0', ' '), 8)
  const all = head.subarray(0, HEADER_BYTES).reduce((sum, byte) => sum + byte, 0)
  return written === all - field.reduce((sum, byte) => sum + byte, 0) + NUMBER_BYTES * SPACE
}
