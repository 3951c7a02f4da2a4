import { randomBytes } from 'node:crypto'
import type { FilePath } from '../registry/names.ts'
import type { Upload } from './connection.ts'

export interface FormFile {
  readonly path: FilePath
  readonly sizeBytes: number
  readonly chunks: () => AsyncIterable<Uint8Array>
}

/**
 * `multipart/form-data` (RFC 7578) of known length: fields of JSON first, then the files one after the other, each
 * under its path as filename.
 */
export function multipart(
  fields: Readonly<Record<string, object>>,
  files: readonly FormFile[],
): Upload {
  const boundary = `strongroom-${randomBytes(18).toString('base64url')}`
  const head = (disposition: string, type: string): Uint8Array =>
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; ${disposition}\r\nContent-Type: ${type}\r\n\r\n`,
    )
  const fieldParts = Object.entries(fields).map(([name, value]) =>
    Buffer.concat([
      head(`name="${name}"`, 'application/json'),
      Buffer.from(`${JSON.stringify(value)}\r\n`),
    ]),
  )
  const fileParts = files.map(({ path, sizeBytes, chunks }) => ({
    head: head(`name="file"; filename="${quotable(path)}"`, 'application/octet-stream'),
    sizeBytes,
    chunks,
  }))
  const lineEnd = Buffer.from('\r\n')
  const tail = Buffer.from(`--${boundary}--\r\n`)

  async function* all(): AsyncGenerator<Uint8Array, void, undefined> {
    yield* fieldParts
    for (const part of fileParts) {
      yield part.head
      yield* part.chunks()
      yield lineEnd
    }
    yield tail
  }

  const sizeBytes =
    fieldParts.reduce((sum, { length }) => sum + length, tail.length) +
    fileParts.reduce((sum, part) => sum + part.head.length + part.sizeBytes + lineEnd.length, 0)
  return { contentType: `multipart/form-data; boundary=${boundary}`, sizeBytes, chunks: all() }
}

/** A path has no backslash and no control character: only a quote could end the name. */
const quotable = (path: FilePath): string => path.replaceAll('"', '\\"')
