import type { FastifyRequest } from 'fastify'
import { invalidField, RegistryError } from '../src/errors.ts'
import { type FilePath, parseFilePath, parseSha256, type Sha256 } from '../src/registry/names.ts'
import type { IncomingFile, PublishFacts } from '../src/registry/publish.ts'

type Pace = (body: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>

/**
 * A `multipart/form-data` body as the publisher wants it: files one by one, each read while it arrives, and
 * what the fields said once the last part is through. `onEnd` is called then.
 */
export function formOf(
  request: FastifyRequest,
  pace: Pace,
  onEnd: (request: FastifyRequest) => void,
): { files: AsyncGenerator<IncomingFile, void, undefined>; facts: () => PublishFacts } {
  let metadata: Record<string, string> = {}
  const expected = new Map<FilePath, Sha256>()

  function takeField(name: string, value: unknown): void {
    if (name === 'metadata') metadata = stringsOf(name, value)
    else if (name === 'sha256') {
      for (const [path, hex] of Object.entries(stringsOf(name, value))) {
        expected.set(parseFilePath(path), parseSha256(hex, `body.sha256.${path}`))
      }
    } else throw invalid(`body.${name}`, 'is not a field of this form')
  }

  async function* files(): AsyncGenerator<IncomingFile, void, undefined> {
    for await (const part of readable(request, request.parts())) {
      if (part.type === 'field') takeField(part.fieldname, part.value)
      else {
        // The types say string; a part that only says application/octet-stream has none.
        const filename = part.filename as string | undefined
        if (filename === undefined || filename === '')
          throw invalid(`body.${part.fieldname}`, 'a file part needs a filename')
        yield {
          path: parseFilePath(filename),
          body: pace(readable(request, part.file)),
          announcedBytes: undefined,
        }
        if (part.file.truncated) throw new RegistryError('TOO_LARGE', 'The file is too large.')
      }
    }
    onEnd(request)
  }

  return { files: files(), facts: () => ({ metadata, expected, held: [] }) }
}

/** What the form's parser can't read is the caller's mistake, unless the caller went away. */
async function* readable<T>(
  request: FastifyRequest,
  source: AsyncIterable<T>,
): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]()
  try {
    for (;;) {
      let next: IteratorResult<T>
      try {
        next = await iterator.next()
      } catch (error) {
        const { destroyed, complete } = request.raw
        // A request that came to its end is destroyed too.
        if ((destroyed && !complete) || isFastifyError(error)) throw error
        throw invalid('body', 'is not a well-formed multipart/form-data body')
      }
      if (next.done === true) return
      yield next.value
    }
  } finally {
    await iterator.return?.()
  }
}

const isFastifyError = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  typeof error.code === 'string' &&
  error.code.startsWith('FST_')

/** A JSON object of strings; the form's parser has already parsed a part of type application/json. */
function stringsOf(name: string, value: unknown): Record<string, string> {
  const parsed = typeof value === 'string' ? parseJson(name, value) : value
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw invalid(`body.${name}`, 'must be a JSON object')
  }
  const strings: Record<string, string> = Object.create(null) as Record<string, string>
  for (const [key, text] of Object.entries(parsed)) {
    if (typeof text !== 'string') throw invalid(`body.${name}`, 'must map strings to strings')
    strings[key] = text
  }
  return strings
}

function parseJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw invalid(`body.${name}`, 'must be a JSON object')
  }
}

const invalid = (field: string, detail: string): RegistryError =>
  invalidField(field, detail, 'The form is not valid.')
