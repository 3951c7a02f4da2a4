import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { formatReprDigest } from '../http/digest-header.ts'
import type { FilePath, Sha256 } from '../registry/names.ts'
import type { Ask, Upload } from './connection.ts'
import { LocalError, localErrorOf, misused } from './local-failure.ts'
import { multipart } from './multipart.ts'
import { pathOfVersion, type VersionRef } from './registry.ts'

/** A local file and its place in the version. */
export interface LocalFile {
  readonly local: string
  readonly path: FilePath
}

/** Read once from end to end: what is sent must be the same bytes, and the registry is told so. */
export interface HashedFile extends LocalFile {
  readonly sizeBytes: number
  readonly sha256: Sha256
}

type OnBytes = (bytes: number) => void

const READ_BYTES = 1024 * 1024
/** Node's servers take 16 KiB of headers in all; metadata beyond this goes into a form. */
const MAX_QUERY_CHARACTERS = 4096

/** @throws {LocalError} where it isn't a file that can be read */
export async function sizeOf(local: string): Promise<number> {
  const found = await stat(local).catch((error: unknown) => {
    throw localErrorOf(local, error)
  })
  if (!found.isFile()) throw misused(local, 'it is not a file')
  return found.size
}

/** @throws {LocalError} */
export async function hashFile(file: LocalFile, onBytes: OnBytes): Promise<HashedFile> {
  const sizeBytes = await sizeOf(file.local)
  const whole = createHash('sha256')
  for await (const chunk of bytesOf({ ...file, sizeBytes }, onBytes)) whole.update(chunk)
  return { ...file, sizeBytes, sha256: whole.digest('hex') as Sha256 }
}

/** The request that publishes the files: a PUT of one, or a form of several. */
export function publication(
  version: VersionRef,
  files: readonly HashedFile[],
  metadata: Readonly<Record<string, string>>,
  onBytes: OnBytes,
): Ask {
  const [file] = files
  const query = file === undefined ? '' : queryOf(file.path, metadata)
  const path = pathOfVersion(version)
  if (file === undefined || files.length > 1 || query.length > MAX_QUERY_CHARACTERS) {
    return { method: 'POST', path, body: formOf(files, metadata, onBytes) }
  }
  return {
    method: 'PUT',
    path: `${path}?${query}`,
    headers: { 'repr-digest': formatReprDigest(file.sha256) },
    body: {
      contentType: 'application/octet-stream',
      sizeBytes: file.sizeBytes,
      chunks: bytesOf(file, onBytes),
    },
  }
}

function queryOf(path: FilePath, metadata: Readonly<Record<string, string>>): string {
  const query = new URLSearchParams({ path })
  for (const [key, value] of Object.entries(metadata)) query.append(`meta.${key}`, value)
  return query.toString()
}

function formOf(files: readonly HashedFile[], metadata: object, onBytes: OnBytes): Upload {
  const sha256 = Object.fromEntries(files.map((file) => [file.path, file.sha256]))
  return multipart(
    { metadata, sha256 },
    files.map((file) => ({ ...file, chunks: () => bytesOf(file, onBytes) })),
  )
}

/** Exactly the file's bytes as they were counted. @throws {LocalError} where there are more or fewer by now */
async function* bytesOf(
  { local, sizeBytes }: { readonly local: string; readonly sizeBytes: number },
  onBytes: OnBytes,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = sizeBytes
  try {
    for await (const piece of createReadStream(local, { highWaterMark: READ_BYTES })) {
      const chunk = piece as Uint8Array
      left -= chunk.length
      if (left < 0) break
      onBytes(chunk.length)
      yield chunk
    }
  } catch (error) {
    throw localErrorOf(local, error)
  }
  if (left !== 0)
    throw new LocalError(`${local}: it changed while it was read.`, { isWrongUse: false })
}
