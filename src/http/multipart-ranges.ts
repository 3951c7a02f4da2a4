// The body of a 206 with several ranges, RFC 9110 §14.6:
//
//     --BOUNDARY CRLF  Content-Type  CRLF  Content-Range  CRLF CRLF  bytes…  CRLF     once a range
//     --BOUNDARY-- CRLF

import type { ByteRange } from './range.ts'
import { formatContentRange } from './range.ts'

/** Everything of the body but the file's bytes, which follow the preamble of their part. */
export interface ByterangesPlan {
  readonly contentType: string
  /** Of the whole body, in bytes. */
  readonly contentLength: number
  readonly parts: readonly { readonly preamble: Uint8Array; readonly range: ByteRange }[]
  readonly closing: Uint8Array
}

/**
 * Lays out the body that answers `ranges` of a file of `size` bytes. The boundary is a token of at most 70 characters
 * that must not occur in the file: random, since the file's author is not to know it.
 */
export function planByteranges(
  ranges: readonly ByteRange[],
  size: number,
  contentType: string,
  boundary: string,
): ByterangesPlan {
  const parts = ranges.map((range, i) => {
    const headers = `Content-Type: ${contentType}\r\nContent-Range: ${formatContentRange(range, size)}`
    const preamble = Buffer.from(`${i === 0 ? '' : '\r\n'}--${boundary}\r\n${headers}\r\n\r\n`)
    return { preamble, range }
  })
  const closing = Buffer.from(`\r\n--${boundary}--\r\n`)
  const contentLength = parts.reduce(
    (sum, { preamble, range }) => sum + preamble.length + range.end - range.begin,
    closing.length,
  )
  return {
    contentType: `multipart/byteranges; boundary=${boundary}`,
    contentLength,
    parts,
    closing,
  }
}
