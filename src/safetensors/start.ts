// What the first bytes of a file are: 8 of length and the `{` that begins a header, or else something that
// another format's magic, or the length itself, explains.

import { SafetensorsError } from './safetensors-error.ts'
import { HEAD_BYTES, sniff } from './sniff.ts'

interface StartLimits {
  readonly fileBytes: number | undefined
  readonly maxHeaderBytes: number
  /** Whether the head is all of the file. */
  readonly isWhole: boolean
}

const LENGTH_BYTES = 8
/** `{}` */
const MIN_HEADER_BYTES = 2
const OPEN_BRACE = 0x7b
/** The first byte of UTF-8's byte order mark. */
const BOM = 0xef

/**
 * N, once the head is known to begin a header; undefined while more bytes could tell. It is called for each
 * byte from the first on, so that the verdict can't depend on how the bytes came.
 *
 * @throws SafetensorsError `not_safetensors`, `header_too_large`, `header_truncated`, `header_not_json`, `header_not_utf8`
 */
export function judgeStart(head: Uint8Array, limits: StartLimits): number | undefined {
  if (head.length < LENGTH_BYTES) return limits.isWhole ? failShort(head) : undefined
  const length = readLength(head)
  const isLength = length >= MIN_HEADER_BYTES && length <= limits.maxHeaderBytes
  const isTooShort = limits.fileBytes !== undefined && LENGTH_BYTES + length > limits.fileBytes
  const next = head[LENGTH_BYTES]

  if (isLength && next === OPEN_BRACE) return isTooShort ? failTruncated(head) : length
  const isOver = limits.isWhole || head.length >= HEAD_BYTES
  const guess = sniff(head)
  if (isLength && next === undefined && !isOver) {
    // Some of the magics make a plausible length: the next byte tells.
    const isJustALength = guess.isCertain && guess.looksLike === 'unknown'
    return isTooShort && isJustALength ? failTruncated(head) : undefined
  }
  if (!guess.isCertain && !isOver) return undefined
  if (guess.looksLike !== 'unknown') failUnlike(head)
  if (length > limits.maxHeaderBytes) {
    judgeTooLarge(head, length, isOver)
    return undefined
  }
  return isLength && next === undefined ? failTruncated(head) : failNotJson(next)
}

/**
 * A length beyond the cap: a hostile or broken header, or no safetensors at all. What nobody would write as a
 * length, with no `{` after it, is the latter.
 */
function judgeTooLarge(head: Uint8Array, length: number, isOver: boolean): void {
  const next = head[LENGTH_BYTES]
  const isArbitrary = length > Number.MAX_SAFE_INTEGER && !isRound(head)
  if (isArbitrary && next === undefined && !isOver) return
  if (isArbitrary && next !== undefined && next !== OPEN_BRACE) failUnlike(head)
  throw new SafetensorsError(
    'header_too_large',
    `the header's length is given as ${length} bytes`,
    {
      offset: 0,
    },
  )
}

/** 2^63, 2^64 − 1 and their like: numbers that somebody chose, not the first bytes of text or data. */
function isRound(head: Uint8Array): boolean {
  const low = head.subarray(0, 4)
  return low.every((byte) => byte === 0) || low.every((byte) => byte === 0xff)
}

/** u64, little-endian; approximate beyond 2^53, where only its size matters. */
function readLength(head: Uint8Array): number {
  const view = new DataView(head.buffer, head.byteOffset, LENGTH_BYTES)
  return view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32
}

function failShort(head: Uint8Array): never {
  return sniff(head).looksLike === 'unknown' ? failTruncated(head) : failUnlike(head)
}

function failUnlike(head: Uint8Array): never {
  const { looksLike } = sniff(head)
  const sentence =
    looksLike === 'unknown'
      ? 'the file is not safetensors'
      : looksLike === 'empty'
        ? 'the file is empty'
        : `the file is not safetensors: it looks like ${looksLike}`
  throw new SafetensorsError('not_safetensors', sentence, { offset: 0, looksLike })
}

function failTruncated(head: Uint8Array): never {
  throw new SafetensorsError('header_truncated', 'the file is shorter than its header', {
    offset: head.length,
  })
}

function failNotJson(next: number | undefined): never {
  const offset = LENGTH_BYTES
  if (next === BOM)
    throw new SafetensorsError('header_not_utf8', 'a header has no byte order mark', { offset })
  throw new SafetensorsError('header_not_json', 'a header begins with {', { offset })
}
