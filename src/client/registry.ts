import type { CheckpointName, FilePath, Sha256 } from '../registry/names.ts'
import { hashes, type TensorItem, tensorPage } from './answers.ts'
import { askJson, type Connection } from './connection.ts'
import { UnreachableError, UntrustedError } from './failures.ts'
import { allOf } from './pages.ts'
import { checkLeaves, type Leaves, type WantedFile } from './pull-file.ts'

/** What a caller means by `owner/name@ref`. */
export interface VersionRef extends CheckpointName {
  readonly ref: string
}

export const pathOfCheckpoint = ({ owner, name }: CheckpointName): string =>
  `/v1/checkpoints/${encodeURIComponent(owner)}/${encodeURIComponent(name)}`

export const pathOfVersion = (version: VersionRef): string =>
  `${pathOfCheckpoint(version)}/${encodeURIComponent(version.ref)}`

const escapePath = (path: FilePath): string => path.split('/').map(encodeURIComponent).join('/')

/** What a registry says of a version's files; its ref is a revision, so that no tag moves in between. */
export interface RemoteVersion {
  leaves(file: WantedFile): Promise<Leaves>
  /** In byte order of path and name. */
  tensors(query: TensorsQuery): AsyncIterable<TensorItem>
  /** Exactly the file's bytes from `begin` to `end`, unproven. */
  bytes(file: WantedFile, begin: number, end: number): AsyncIterable<Uint8Array>
}

interface TensorsQuery {
  readonly path?: FilePath
  /** Of the name. */
  readonly prefix?: string
}

export function remoteVersion(connection: Connection, version: VersionRef): RemoteVersion {
  const base = pathOfVersion(version)
  return {
    async leaves(file) {
      const path = `${base}/hashes?path=${encodeURIComponent(file.path)}`
      return checkLeaves(
        (await askJson(connection, { method: 'GET', path }, hashes)).document,
        file,
      )
    },
    tensors: (query) =>
      allOf(connection, { path: `${base}/tensors`, query: { ...query } }, tensorPage),
    async *bytes(file, begin, end) {
      const isWhole = begin === 0 && end === file.size
      const range = { range: `bytes=${begin}-${end - 1}` }
      const { status, headers, body, abandon } = await connection.send({
        method: 'GET',
        path: `${base}/files/${escapePath(file.path)}`,
        headers: { 'if-match': etagOf(file.sha256), ...(isWhole ? {} : range) },
      })
      const isAsked = isWhole
        ? status === 200
        : status === 206 && headers['content-range'] === `bytes ${begin}-${end - 1}/${file.size}`
      if (!isAsked) {
        abandon()
        throw new UntrustedError('The server sends another range than the one asked for.', {
          path: file.path,
        })
      }
      yield* exactly(body, end - begin)
    },
  }
}

const etagOf = (sha256: Sha256): string => `"sha256-${sha256}"`

/** @throws {UntrustedError} for more bytes, {UnreachableError} for fewer. */
export async function* exactly(
  body: AsyncIterable<Uint8Array>,
  sizeBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = sizeBytes
  for await (const piece of body) {
    left -= piece.length
    if (left < 0) throw new UntrustedError('More bytes arrived than were asked for.')
    yield piece
  }
  if (left > 0) throw new UnreachableError('The answer ended early.')
}
