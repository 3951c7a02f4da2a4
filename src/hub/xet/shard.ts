import { setImmediate } from 'node:timers/promises'
import { parseSha256, type Sha256 } from '../../registry/names.ts'
import { LARGEST_CHUNK_BYTES } from './chunk.ts'
import { checkShardFooter } from './shard-footer.ts'
import { XetError } from './xet-error.ts'
import { hexOf, isBookend } from './xet-hash.ts'

/** All that a shard holds comes in entries of 48 bytes: a hash, and 16 bytes of numbers. */
const ENTRY_BYTES = 48
/** "HFRepoMetaData", a zero, and 17 bytes that nothing else begins with. */
const MAGIC = Buffer.from('48465265706f4d6574614461746100556967456a7b815783a5bdd95ccdd14aa9', 'hex')
const VERSION = 2n

const HAS_VERIFICATION = 0x8000_0000
const HAS_METADATA = 0x4000_0000
/** What is looked at between two turns of the event loop: a millisecond or two, most of it files' hashes. */
const BYTES_PER_TURN = 5000 * ENTRY_BYTES

/** A run of chunks of one xorb, which are part of a file. */
export interface ShardTerm {
  /** The xorb's hash, as it stands in the URL that it was uploaded to. */
  readonly xorb: string
  readonly chunkBegin: number
  /** One more than the last. */
  readonly chunkEnd: number
  readonly unpackedBytes: number
}

/** One after the other they make the file. Read from the shard's own bytes, which must stay as they are. */
export interface ShardTerms {
  readonly count: number
  /** @throws RangeError beyond `count` */
  at(term: number): ShardTerm
}

export interface ShardFile {
  /** Xet's own hash of the file. Nothing here relies on it. */
  readonly fileHash: string
  /** What the client says that the file's SHA-256 is; every client says it that uploads for a commit. */
  readonly sha256: Sha256 | undefined
  /** All terms together. Terms may repeat chunks, so that a small shard can name very many bytes. */
  readonly unpackedBytes: number
  readonly terms: ShardTerms
}

export interface ShardLimits {
  /** 10,000 unless told. */
  readonly maxFiles?: number | undefined
  /** Of all files together; 1,000,000 unless told, enough for 128 GB of one chunk repeated. */
  readonly maxTerms?: number | undefined
}

/**
 * Reads which chunks make which file, giving others their turn while it does.
 *
 * ```
 *   0  32 bytes of magic, u64 LE version 2, u64 LE length of the footer, or 0 without one
 *  48  files    repeated: hash, u32 LE flags, u32 LE n, u64    then n × (xorb's hash, u32 LE flags, u32 LE unpacked
 *               bytes, u32 LE first chunk, u32 LE chunk after the last), n × verification if flagged, the SHA-256 if flagged
 *      a bookend: a hash of all ones
 *      xorbs    repeated: hash, u32 LE flags, u32 LE n, u32, u32    then n entries, one a chunk
 *      a bookend
 *      footer   with it, look-up tables before it
 * ```
 * https://huggingface.co/docs/xet/shard. Of the xorbs only the lengths are read: what they hold was read when they came.
 *
 * @throws XetError
 */
export async function parseShard(
  shard: Uint8Array,
  limits: ShardLimits = {},
): Promise<ShardFile[]> {
  const { maxFiles = 10_000, maxTerms = 1_000_000 } = limits
  const view = new DataView(shard.buffer, shard.byteOffset, shard.length)
  const footerBytes = readHeader(shard, view)
  const files: ShardFile[] = []
  let at = ENTRY_BYTES
  let termsLeft = maxTerms
  let turnEnds = at + BYTES_PER_TURN

  async function nextTurn(place: number): Promise<void> {
    turnEnds = place + BYTES_PER_TURN
    await setImmediate()
  }

  /** The place of the next `count` entries. */
  function take(count: number): number {
    const begin = at
    if (count > (shard.length - at) / ENTRY_BYTES)
      throw new XetError('shard_truncated', 'the shard ends before what it says it holds')
    at += count * ENTRY_BYTES
    return begin
  }

  async function readFile(header: number): Promise<ShardFile> {
    const flags = view.getUint32(header + 32, true)
    const count = view.getUint32(header + 36, true)
    if ((flags & ~(HAS_VERIFICATION | HAS_METADATA)) !== 0)
      throw new XetError('shard_file_invalid', "a file of the shard has flags that aren't known")
    if (count > termsLeft)
      throw new XetError('shard_too_large', `the shard's files have more than ${maxTerms} terms`)
    termsLeft -= count
    const begin = take(count)
    if ((flags & HAS_VERIFICATION) !== 0) take(count)
    const metadata = (flags & HAS_METADATA) !== 0 ? take(1) : undefined

    let unpackedBytes = 0
    for (let term = begin; term < begin + count * ENTRY_BYTES; term += ENTRY_BYTES) {
      unpackedBytes += checkTerm(view, term)
      if (term >= turnEnds) await nextTurn(term)
    }
    return {
      fileHash: hexOf(view, header),
      sha256: metadata === undefined ? undefined : parseSha256(hexOf(view, metadata)),
      unpackedBytes,
      terms: termsOf(view, begin, count),
    }
  }

  for (let header = take(1); !isBookend(view, header); header = take(1)) {
    if (files.length === maxFiles)
      throw new XetError('shard_too_large', `the shard has more than ${maxFiles} files`)
    files.push(await readFile(header))
    if (header >= turnEnds) await nextTurn(header)
  }
  const xorbsBegin = at
  for (let header = take(1); !isBookend(view, header); header = take(1)) {
    take(view.getUint32(header + 36, true))
    if (header >= turnEnds) await nextTurn(header)
  }
  checkShardFooter(view, { footerBytes, filesBegin: ENTRY_BYTES, xorbsBegin, xorbsEnd: at })
  return files
}

/** @returns the length of the footer */
function readHeader(shard: Uint8Array, view: DataView): bigint {
  const isShard = shard.length >= ENTRY_BYTES && MAGIC.equals(shard.subarray(0, MAGIC.length))
  if (!isShard || view.getBigUint64(32, true) !== VERSION)
    throw new XetError('shard_not_a_shard', 'the bytes are no shard, or one of another version')
  return view.getBigUint64(40, true)
}

/** @returns what it takes unpacked */
function checkTerm(view: DataView, at: number): number {
  const { chunkBegin, chunkEnd, unpackedBytes } = numbersOf(view, at)
  const chunks = chunkEnd - chunkBegin
  if (chunks < 1 || unpackedBytes < chunks || unpackedBytes > chunks * LARGEST_CHUNK_BYTES)
    throw new XetError(
      'shard_term_invalid',
      `a term of the shard gives ${unpackedBytes} bytes to the chunks from ${chunkBegin} up to ${chunkEnd}`,
    )
  return unpackedBytes
}

function termsOf(view: DataView, begin: number, count: number): ShardTerms {
  return {
    count,
    at(term) {
      if (!(term >= 0 && term < count))
        throw new RangeError(`there are ${count} terms, none ${term}`)
      const at = begin + term * ENTRY_BYTES
      return { xorb: hexOf(view, at), ...numbersOf(view, at) }
    },
  }
}

const numbersOf = (view: DataView, at: number) => ({
  unpackedBytes: view.getUint32(at + 36, true),
  chunkBegin: view.getUint32(at + 40, true),
  chunkEnd: view.getUint32(at + 44, true),
})
