import { invalidField, RegistryError } from '../errors.ts'
import { one } from '../items.ts'
import {
  type FilePath,
  MAX_PATH_BYTES,
  parseFilePath,
  parseSha256,
  type Sha256,
} from '../registry/names.ts'
import { createBase64, type Line } from './json-lines.ts'

export interface CommitHeader {
  readonly key: 'header'
  readonly summary: string
  readonly description: string
  /** What the client believes the branch's head to be: hex. */
  readonly parentCommit: string | undefined
}

export type CommitOperation =
  | {
      readonly key: 'file'
      readonly path: FilePath
      /** Its bytes; to be read once, before the next line is asked for. */
      readonly content: () => AsyncIterable<Uint8Array>
    }
  | { readonly key: 'lfsFile'; readonly path: FilePath; readonly oid: Sha256 }
  | { readonly key: 'deletedFile' | 'deletedFolder'; readonly path: string }

type Fields = Readonly<Record<string, unknown>>

/**
 * What the lines of a commit ask for.
 *
 * @throws {RegistryError} INVALID_REQUEST, INVALID_NAME, TOO_LARGE.
 */
export async function* readCommit(
  lines: AsyncIterable<Line>,
  maxContentBytes: number,
): AsyncGenerator<CommitHeader | CommitOperation, void, undefined> {
  let at = 0
  for await (const line of lines) {
    at += 1
    const { key, value } = asFields(line.value, at)
    const fields = asFields(value, at)
    if (line.content !== undefined && (key !== 'file' || !isPlaceOf(line, fields)))
      throw invalid(at, 'has a string that is too long')
    if (typeof key !== 'string') throw invalid(at, 'has no key')
    yield operationOf(key, fields, line, { at, maxContentBytes })
  }
}

const isPlaceOf = ({ content }: Line, fields: Fields): boolean =>
  fields['content'] === content?.placeholder

function operationOf(
  key: string,
  fields: Fields,
  { content: taken }: Line,
  { at, maxContentBytes }: { readonly at: number; readonly maxContentBytes: number },
): CommitHeader | CommitOperation {
  const text = (name: string): string => {
    const value = fields[name]
    if (typeof value !== 'string') throw invalid(at, `has no ${name}`)
    return value
  }
  const optional = (name: string): string | undefined =>
    fields[name] === undefined || fields[name] === null ? undefined : text(name)

  switch (key) {
    case 'header':
      return {
        key,
        summary: optional('summary') ?? '',
        description: optional('description') ?? '',
        parentCommit: parentOf(optional('parentCommit'), at),
      }
    case 'file': {
      const path = pathOf(text('path'))
      if ((optional('encoding') ?? 'base64') !== 'base64')
        throw invalid(at, 'has another encoding than base64')
      if (taken !== undefined) return { key, path, content: taken.spool.read }
      const bytes = decode(text('content'), maxContentBytes)
      return { key, path, content: () => one(bytes) }
    }
    case 'lfsFile': {
      if ((optional('algo') ?? 'sha256') !== 'sha256')
        throw invalid(at, 'has another algorithm than sha256')
      return { key, path: pathOf(text('path')), oid: parseSha256(text('oid'), `body line ${at}`) }
    }
    case 'deletedFile':
    case 'deletedFolder':
      return { key, path: deletedPathOf(text('path'), at) }
    default:
      throw invalid(at, 'has a key that is not known')
  }
}

/** As the error of a commit tells which of its files it is about. */
function pathOf(path: string): FilePath {
  try {
    return parseFilePath(path)
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error
    const told = JSON.stringify(path.slice(0, 200).toWellFormed())
    throw new RegistryError(error.code, `${error.message} (${told})`, error.facts, error)
  }
}

/** Clients write a folder with a slash behind it, and all of the files as `/` or `.`. */
function deletedPathOf(path: string, at: number): string {
  // There can be thousands of them, and none that is longer is there.
  if (path.length > MAX_PATH_BYTES + 1) throw invalid(at, 'has a path that is too long')
  return path.replace(/\/+$/, '')
}

function parentOf(parent: string | undefined, at: number): string | undefined {
  if (parent === undefined) return undefined
  if (!/^[0-9a-f]{7,64}$/i.test(parent)) throw invalid(at, 'has a parentCommit that is no commit')
  return parent.toLowerCase()
}

function decode(content: string, maxBytes: number): Uint8Array {
  const base64 = createBase64(maxBytes)
  const bytes = base64.decode(Buffer.from(content))
  base64.finish()
  return bytes
}

function asFields(value: unknown, at: number): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(at, 'is no object')
  return value as Fields
}

const invalid = (line: number, detail: string): RegistryError =>
  invalidField(`body line ${line}`, detail, 'The commit is not valid.')
