import { posix } from 'node:path'
import type { VersionFile } from '../../db/ledger.ts'
import { RegistryError } from '../errors.ts'
import { contextOf } from '../registry/representation.ts'
import type { ResolvedVersion } from '../registry/resolve.ts'
import type { ReadVerified } from '../vault/read-verified.ts'

/** A larger index takes too long to parse in one go; its shards' headers can still be read one by one. */
const MAX_INDEX_BYTES = 4 * 1024 * 1024

/** What the index of a sharded model says, of which the shards' own headers say the rest. */
export interface ShardIndex {
  readonly metadata: unknown
  readonly shards: readonly VersionFile[]
}

/** @throws {RegistryError} TOO_LARGE. */
export async function readShardIndex(
  read: ReadVerified,
  resolved: ResolvedVersion,
  index: VersionFile,
): Promise<ShardIndex> {
  const { size } = index.blob
  if (size > MAX_INDEX_BYTES)
    throw new RegistryError('TOO_LARGE', 'The index is too large to be told as a whole.', {
      limit: MAX_INDEX_BYTES,
    })
  const bytes = Buffer.allocUnsafe(size)
  let at = 0
  for await (const piece of read(
    index.blob,
    { begin: 0, end: size },
    contextOf(resolved, index.path),
  )) {
    bytes.set(piece, at)
    at += piece.length
  }
  // It was found to be such an index when it was published, and it still is what it was.
  const parsed = JSON.parse(bytes.toString()) as {
    readonly metadata?: unknown
    readonly weight_map: Readonly<Record<string, string>>
  }
  const folder = posix.dirname(index.path)
  const named = new Set(Object.values(parsed.weight_map).map((shard) => posix.join(folder, shard)))
  return {
    metadata: parsed.metadata,
    shards: resolved.files.filter(({ path }) => named.has(path)),
  }
}

/** A safetensors header as it stands in the file, which is a JSON object. */
export async function* readHeader(
  read: ReadVerified,
  resolved: ResolvedVersion,
  { blob, path }: VersionFile,
): AsyncGenerator<string, void, undefined> {
  const context = contextOf(resolved, path)
  const start = Buffer.alloc(8)
  for await (const piece of read(blob, { begin: 0, end: 8 }, context)) start.set(piece)
  const end = 8 + Number(start.readBigUInt64LE())
  const decoder = new TextDecoder()
  for await (const piece of read(blob, { begin: 8, end }, context))
    yield decoder.decode(piece, { stream: true })
}
