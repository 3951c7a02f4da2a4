import { LARGEST_CHUNK_BYTES } from './chunk.ts'
import { XetError } from './xet-error.ts'
import { checkFooter, footerBytesFor, isFooterStart } from './xorb-footer.ts'
import { CHUNK_HEADER_BYTES, SCHEMES, type XorbIndex } from './xorb-index.ts'

/** The protocol's own: 64 MiB before compression, in chunks of 64 KiB or so. */
const LARGEST_RAW_BYTES = 64 * 1024 * 1024
const MOST_CHUNKS = 8192
/** Data that compression would lengthen lies there as it is; the reference's servers allow twice a chunk's length. */
const LARGEST_DATA_BYTES = 2 * LARGEST_CHUNK_BYTES

/** The longest body that a xorb within the protocol's limits can have, for what refuses by Content-Length. */
export const LARGEST_XORB_BYTES =
  LARGEST_RAW_BYTES + MOST_CHUNKS * CHUNK_HEADER_BYTES + footerBytesFor(MOST_CHUNKS)

export interface XorbLimits {
  /** Of the whole body. */
  readonly maxBytes?: number | undefined
  /** Of all chunks, unpacked. */
  readonly maxRawBytes?: number | undefined
  readonly maxChunks?: number | undefined
}

/** Reads a xorb as it arrives. It keeps where the chunks lie and none of their data, so the caller spools the body. */
export interface XorbReader {
  /** Takes the next bytes. @throws XetError at the first chunk header that can't be; nothing is unpacked for that */
  write(bytes: Uint8Array): void
  /** The body is over. @throws XetError when something is missing */
  end(): XorbIndex
}

/**
 * ```
 * repeated  u8 version 0, u24 LE length of the data, u8 scheme, u24 LE length unpacked, the data
 * optional  a footer, which neither hf_xet since 1.5 nor the npm client sends
 * ```
 * https://huggingface.co/docs/xet/xorb
 */
export function createXorbReader(limits: XorbLimits = {}): XorbReader {
  const { maxBytes = LARGEST_XORB_BYTES, maxRawBytes = LARGEST_RAW_BYTES } = limits
  const { maxChunks = MOST_CHUNKS } = limits
  const header = new Uint8Array(CHUNK_HEADER_BYTES)
  const view = new DataView(header.buffer)
  const starts: number[] = [0]
  const rawStarts: number[] = [0]
  const schemes: number[] = []
  let headerRead = 0
  let dataLeft = 0
  let total = 0
  let footer: { readonly bytes: Uint8Array; read: number } | undefined

  function takeHeader(): void {
    if (isFooterStart(header)) {
      footer = { bytes: new Uint8Array(footerBytesFor(schemes.length)), read: CHUNK_HEADER_BYTES }
      footer.bytes.set(header)
      return
    }
    const { dataBytes, scheme, rawBytes } = readChunkHeader(view)
    if (schemes.length === maxChunks)
      throw new XetError('xorb_too_many_chunks', `the xorb has more than ${maxChunks} chunks`)
    const rawEnd = (rawStarts.at(-1) ?? 0) + rawBytes
    if (rawEnd > maxRawBytes)
      throw new XetError('xorb_too_large', `the xorb unpacks to more than ${maxRawBytes} bytes`)
    schemes.push(scheme)
    rawStarts.push(rawEnd)
    starts.push((starts.at(-1) ?? 0) + CHUNK_HEADER_BYTES + dataBytes)
    dataLeft = dataBytes
  }

  /** @returns how many of `bytes` it took, at least one */
  function take(bytes: Uint8Array): number {
    if (footer !== undefined) return takeFooter(bytes, footer)
    if (dataLeft > 0) {
      const taken = Math.min(dataLeft, bytes.length)
      dataLeft -= taken
      return taken
    }
    const taken = bytes.subarray(0, CHUNK_HEADER_BYTES - headerRead)
    header.set(taken, headerRead)
    headerRead = (headerRead + taken.length) % CHUNK_HEADER_BYTES
    if (headerRead === 0) takeHeader()
    return taken.length
  }

  function takeFooter(
    bytes: Uint8Array,
    into: { readonly bytes: Uint8Array; read: number },
  ): number {
    if (bytes.length > into.bytes.length - into.read)
      throw new XetError('xorb_footer_invalid', "bytes follow the xorb's footer")
    into.bytes.set(bytes, into.read)
    into.read += bytes.length
    return bytes.length
  }

  return {
    write(bytes) {
      total += bytes.length
      if (total > maxBytes)
        throw new XetError('xorb_too_large', `the xorb is longer than ${maxBytes} bytes`)
      for (let at = 0; at < bytes.length;) at += take(bytes.subarray(at))
    },
    end() {
      const isFooterCut = footer !== undefined && footer.read < footer.bytes.length
      if (headerRead > 0 || dataLeft > 0 || isFooterCut || schemes.length === 0)
        throw new XetError('xorb_truncated', 'the xorb ends in the middle, or holds no chunk')
      const index = {
        chunkCount: schemes.length,
        rawBytes: rawStarts.at(-1) ?? 0,
        starts: Uint32Array.from(starts),
        rawStarts: Uint32Array.from(rawStarts),
        schemes: Uint8Array.from(schemes),
      }
      if (footer !== undefined) checkFooter(footer.bytes, index)
      return index
    },
  }
}

function readChunkHeader(view: DataView) {
  const dataBytes = view.getUint32(0, true) >>> 8
  const scheme = view.getUint8(4)
  const rawBytes = view.getUint32(4, true) >>> 8
  const isSound =
    view.getUint8(0) === 0 &&
    scheme < SCHEMES.length &&
    isBetween(dataBytes, 1, LARGEST_DATA_BYTES) &&
    isBetween(rawBytes, 1, LARGEST_CHUNK_BYTES) &&
    (scheme > 0 || dataBytes === rawBytes)
  if (isSound) return { dataBytes, scheme, rawBytes }
  const sentence =
    "a chunk's header is of another version or scheme, or gives lengths that no chunk has"
  throw new XetError('chunk_header_invalid', sentence)
}

const isBetween = (n: number, least: number, most: number) => n >= least && n <= most
