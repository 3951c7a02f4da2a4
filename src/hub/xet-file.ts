import { setImmediate } from 'node:timers/promises'
import { invalidField } from '../errors.ts'
import type { ParkedFile } from '../vault/vault.ts'
import { decodeChunk } from './xet/chunk.ts'
import type { ShardFile, ShardTerm } from './xet/shard.ts'
import { chunkAt, rawBytesOf, type XorbIndex } from './xet/xorb-index.ts'

/** A container of packed chunks that waits for the shards which name them. */
export interface Xorb {
  readonly file: ParkedFile
  readonly index: XorbIndex
  readonly discard: () => Promise<void>
}

/** By the hash that its client calls it. */
type Xorbs = ReadonlyMap<string, Xorb>

/** Read from a xorb at a time. */
const READ_BYTES = 1024 * 1024

/** All that a file is to be made of is here. */
export async function requireWhole(xorbs: Xorbs, { terms }: ShardFile): Promise<void> {
  for (let i = 0; i < terms.count; i++) {
    const { xorb, chunkBegin, chunkEnd, unpackedBytes: told } = terms.at(i)
    const known = xorbs.get(xorb)
    if (known === undefined)
      throw invalidField('body', 'names a xorb that was not uploaded here', 'The shard is refused.')
    if (rawBytesOf(known.index, chunkBegin, chunkEnd) !== told)
      throw invalidField('body', 'tells a wrong length of its chunks', 'The shard is refused.')
    if (i % 1000 === 999) await setImmediate()
  }
}

/** A file as its terms make it, unpacked a chunk at a time. */
export async function* bytesOf(
  xorbs: Xorbs,
  { terms }: ShardFile,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let i = 0; i < terms.count; i++) {
    const term = terms.at(i)
    const xorb = xorbs.get(term.xorb)
    if (xorb === undefined) throw new Error('a xorb went away while a file was made of it')
    yield* chunksOf(xorb, term)
  }
}

/** Tells of each piece as it is taken. */
export async function* counted(
  bytes: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of bytes) {
    count(piece.length)
    yield piece
  }
}

async function* chunksOf(
  { file, index }: Xorb,
  { chunkBegin, chunkEnd }: ShardTerm,
): AsyncGenerator<Uint8Array, void, undefined> {
  for (let first = chunkBegin; first < chunkEnd;) {
    const { begin } = chunkAt(index, first)
    let next = first + 1
    while (next < chunkEnd && chunkAt(index, next).end - begin <= READ_BYTES) next += 1
    const packed = await file.readAt(begin, chunkAt(index, next - 1).end - begin)
    for (let chunk = first; chunk < next; chunk++) {
      const { begin: from, end, scheme, rawBytes } = chunkAt(index, chunk)
      yield decodeChunk(packed.subarray(from - begin, end - begin), scheme, rawBytes)
    }
    first = next
  }
}

/** Chunks may repeat, so that a small shard can name very many bytes. */
export const unpackedBytesOf = (files: readonly ShardFile[]): number =>
  files.reduce((sum, { unpackedBytes }) => sum + unpackedBytes, 0)
