import { posix } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import type { Ledger } from '../../db/ledger.ts'
import { RegistryError } from '../errors.ts'
import type { HashPool } from '../hashing/pool.ts'
import type { Admitted } from '../vault/admit.ts'
import type { HeldFile, ReadHeld } from './held-files.ts'

interface Shard {
  readonly path: string
  readonly names: Uint8Array
  readonly nameEnds: Uint32Array
}

/**
 * Every index of a version names only tensors and shards of that version. The text is parsed by a worker: it
 * may be as large as its limit.
 *
 * @throws {RegistryError} INVALID_REQUEST naming the index.
 */
export async function checkIndexes(
  pool: HashPool,
  ledger: Ledger,
  admitted: readonly { readonly path: string; readonly admitted: Admitted }[],
  held: readonly HeldFile[],
  readHeld: ReadHeld,
): Promise<void> {
  const indexes = [
    ...admitted.flatMap(({ path, admitted: { indexText } }) =>
      indexText === undefined ? [] : [{ path, text: () => Promise.resolve(indexText) }],
    ),
    ...held.flatMap((file) =>
      file.kind === 'index' ? [{ path: file.path, text: () => textOf(readHeld(file)) }] : [],
    ),
  ]
  if (indexes.length === 0) return
  const shards: Shard[] = admitted.flatMap(({ path, admitted: { header } }) =>
    header === undefined
      ? []
      : [{ path, names: header.columns.names, nameEnds: header.columns.nameEnds }],
  )
  const names = new Map<number, Omit<Shard, 'path'>>()
  for (const { path, kind, file } of held) {
    if (kind !== 'safetensors') continue
    const { id } = file.blob
    const known = names.get(id) ?? (await namesOfHeld(ledger, id))
    names.set(id, known)
    shards.push({ path, ...known })
  }
  for (const { path, text } of indexes) {
    const folder = posix.dirname(path)
    const relative = shards.map((shard) => ({ ...shard, path: posix.relative(folder, shard.path) }))
    const trouble = await pool.run('upload', {
      kind: 'check_index',
      text: await text(),
      shards: relative,
    })
    if (trouble !== undefined) {
      throw new RegistryError('INVALID_REQUEST', `The index is refused: ${trouble}.`, {
        errors: [{ field: path, detail: trouble }],
      })
    }
  }
}

async function textOf(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const copies: Uint8Array[] = []
  for await (const piece of pieces) copies.push(Uint8Array.from(piece))
  return Buffer.concat(copies)
}

const NAMES_PER_PAGE = 5000

async function namesOfHeld(ledger: Ledger, blobId: number): Promise<Omit<Shard, 'path'>> {
  const names: Buffer[] = []
  for (let after = ''; ;) {
    const page = await ledger.tensorNames(blobId, after, NAMES_PER_PAGE)
    for (const name of page) names.push(Buffer.from(name))
    const last = page.at(-1)
    if (last === undefined || page.length < NAMES_PER_PAGE) break
    after = last
    await setImmediate()
  }
  const nameEnds = new Uint32Array(names.length)
  let end = 0
  names.forEach((name, i) => {
    end += name.length
    nameEnds[i] = end
  })
  return { names: Buffer.concat(names), nameEnds }
}
