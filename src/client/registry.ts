import type { CheckpointName, FilePath } from '../registry/names.ts'
import { hashes } from './answers.ts'
import { askJson, type Connection } from './connection.ts'
import { UntrustedError } from './failures.ts'
import type { PullSource, WantedFile } from './pull-file.ts'

/** What a caller means by `owner/name@ref`. */
export interface VersionRef extends CheckpointName {
  readonly ref: string
}

export const pathOfCheckpoint = ({ owner, name }: CheckpointName): string =>
  `/v1/checkpoints/${encodeURIComponent(owner)}/${encodeURIComponent(name)}`

export const pathOfVersion = (version: VersionRef): string =>
  `${pathOfCheckpoint(version)}/${encodeURIComponent(version.ref)}`

const escapePath = (path: FilePath): string => path.split('/').map(encodeURIComponent).join('/')

/** The files of a version; its ref is a revision, so that no tag moves in between. */
export function sourceOf(connection: Connection, version: VersionRef): PullSource {
  const base = pathOfVersion(version)
  return {
    async leaves({ path }) {
      const ask = {
        method: 'GET',
        path: `${base}/hashes?path=${encodeURIComponent(path)}`,
      } as const
      return (await askJson(connection, ask, hashes)).document
    },
    async bytes(file, begin) {
      const { status, headers, body } = await connection.send({
        method: 'GET',
        path: `${base}/files/${escapePath(file.path)}`,
        headers: {
          'if-match': `"sha256-${file.sha256}"`,
          ...(begin === 0 ? {} : { range: `bytes=${begin}-` }),
        },
      })
      if (!startsAt(begin, file, status, headers['content-range'])) {
        throw new UntrustedError('The server sends another range than the one asked for.', {
          path: file.path,
        })
      }
      return body
    },
  }
}

function startsAt(
  begin: number,
  { size }: WantedFile,
  status: number,
  contentRange: string | undefined,
): boolean {
  if (begin === 0) return status === 200
  return status === 206 && contentRange === `bytes ${begin}-${size - 1}/${size}`
}
