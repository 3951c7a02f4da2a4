import { decodeBlock, tooLong, truncated } from './lz4-block.ts'
import { XetError } from './xet-error.ts'
import { xxHash32 } from './xxhash32.ts'

const MAGIC = 0x184d2204
const BLOCK_IS_RAW = 0x80000000
const CHECKSUM_BYTES = 4

interface FrameHeader {
  readonly headerBytes: number
  readonly largestBlock: number
  readonly isLinked: boolean
  readonly hasBlockChecksums: boolean
  readonly hasContentChecksum: boolean
  /** As the frame itself has it. */
  readonly contentBytes: bigint | undefined
}

/**
 * Unpacks one LZ4 frame into `into`, which is the only memory that it takes: a frame that holds more is refused.
 *
 * ```
 * u32 LE magic, u8 flags, u8 largest block, [u64 LE size of the content], u8 checksum of these
 * repeated  u32 LE size (highest bit: not compressed), the block, [u32 LE checksum]
 * u32 0, [u32 LE checksum of the content]
 * ```
 * https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md. Dictionaries, skippable frames and a second frame
 * behind the first are refused: nobody sends them in a chunk.
 *
 * @returns how many bytes the frame held
 * @throws XetError
 */
export function decodeFrame(frame: Uint8Array, into: Uint8Array): number {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length)
  const header = readHeader(view, frame)
  if (header.contentBytes !== undefined && header.contentBytes > into.length)
    throw tooLong(into.length)

  let read = header.headerBytes
  let written = 0

  function takeBlock(size: number): void {
    const blockBytes = (size & ~BLOCK_IS_RAW) >>> 0
    if (blockBytes > header.largestBlock)
      throw new XetError('lz4_invalid', 'a block of the LZ4 frame is larger than the frame allows')
    if (blockBytes > frame.length - read) throw truncated()
    const block = frame.subarray(read, read + blockBytes)
    read += blockBytes
    if (header.hasBlockChecksums) takeChecksum(block, 'a block')
    written = unpack(block, (size & BLOCK_IS_RAW) !== 0)
  }

  function unpack(block: Uint8Array, isRaw: boolean): number {
    if (!isRaw) {
      const windowBegin = header.isLinked ? 0 : written
      return decodeBlock(block, { into, at: written, windowBegin })
    }
    if (block.length > into.length - written) throw tooLong(into.length)
    into.set(block, written)
    return written + block.length
  }

  function takeChecksum(bytes: Uint8Array, what: string): void {
    if (takeWord() !== xxHash32(bytes))
      throw new XetError('lz4_checksum', `${what} of the LZ4 frame doesn't have its checksum`)
  }

  function takeWord(): number {
    if (frame.length - read < CHECKSUM_BYTES) throw truncated()
    const word = view.getUint32(read, true)
    read += 4
    return word
  }

  for (let size = takeWord(); size !== 0; size = takeWord()) takeBlock(size)
  if (header.hasContentChecksum) takeChecksum(into.subarray(0, written), 'the content')
  if (read !== frame.length) throw new XetError('lz4_invalid', 'bytes follow the LZ4 frame')
  if (header.contentBytes !== undefined && header.contentBytes !== BigInt(written))
    throw new XetError('lz4_invalid', 'the LZ4 frame holds less than it says')
  return written
}

function readHeader(view: DataView, frame: Uint8Array): FrameHeader {
  if (frame.length < 7 || view.getUint32(0, true) !== MAGIC)
    throw new XetError('lz4_not_a_frame', 'the bytes are no LZ4 frame')
  const flags = view.getUint8(4)
  const hasContentSize = (flags & 0b1000) !== 0
  const headerBytes = hasContentSize ? 15 : 7
  if (frame.length < headerBytes) throw truncated()
  if ((flags & 0b1100_0011) !== 0b0100_0000)
    throw new XetError('lz4_invalid', 'the LZ4 frame is of another version, or wants a dictionary')
  const checksum = (xxHash32(frame.subarray(4, headerBytes - 1)) >>> 8) & 0xff
  if (view.getUint8(headerBytes - 1) !== checksum)
    throw new XetError('lz4_checksum', "the LZ4 frame's header doesn't have its checksum")
  return {
    headerBytes,
    largestBlock: largestBlockOf(view.getUint8(5)),
    isLinked: (flags & 0b10_0000) === 0,
    hasBlockChecksums: (flags & 0b1_0000) !== 0,
    hasContentChecksum: (flags & 0b100) !== 0,
    contentBytes: hasContentSize ? view.getBigUint64(6, true) : undefined,
  }
}

/** 64 KiB, 256 KiB, 1 MiB or 4 MiB. */
function largestBlockOf(descriptor: number): number {
  const code = descriptor >>> 4
  if (code < 4 || code > 7 || (descriptor & 0b1111) !== 0)
    throw new XetError('lz4_invalid', "the LZ4 frame's largest block isn't of a known size")
  return 1 << (8 + 2 * code)
}
