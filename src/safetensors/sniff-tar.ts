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
  return hasTarChecksum(head) ? { looksLike: 'tar', isCertain: true } : undefined
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

/**
 * Whether a whole header holds the sum of its bytes, those of the sum itself taken as spaces: by that alone some readers
 * know a tar, whatever its name is. They take the sum in octal or, where its first bit is set, in binary, and bytes
 * with a sign as well.
 */
export function hasTarChecksum(head: Uint8Array): boolean {
  const field = head.subarray(CHECKSUM_AT, CHECKSUM_AT + NUMBER_BYTES)
  const written = readSum(field)
  if (Number.isNaN(written)) return false
  const spaces = NUMBER_BYTES * SPACE
  const others = [
    ...head.subarray(0, CHECKSUM_AT),
    ...head.subarray(CHECKSUM_AT + NUMBER_BYTES, HEADER_BYTES),
  ]
  const unsigned = others.reduce((sum, byte) => sum + byte, spaces)
  const signed = others.reduce((sum, byte) => sum + byte - (byte > 0x7f ? 0x100 : 0), spaces)
  return written === unsigned || written === signed
}

/** As loosely as any reader: NULs and spaces around it, a sign, Python's `0o` and `_`. */
function readSum([first = 0, ...rest]: Uint8Array): number {
  const binary = rest.reduce((sum, byte) => sum * 256 + byte, 0)
  if (first === 0x80) return binary
  if (first === 0xff) return binary - 256 ** rest.length
  const text = String.fromCharCode(first, ...rest).replace(/^[\0\s]+/, '')
  const [digits = ''] = /^[-+]?[0-7_]*/.exec(text.replace(/0o/i, '').replaceAll('_', '')) ?? []
  return parseInt(digits, 8)
}
