import type { FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import { RegistryError } from '../src/errors.ts'
import { formatReprDigest } from '../src/http/digest-header.ts'
import {
  type ConditionHeaders,
  evaluate,
  rangeApplies,
  type Validators,
} from '../src/http/preconditions.ts'
import { parseRange } from '../src/http/range.ts'
import { parseSha256 } from '../src/registry/names.ts'
import { contextOf, type Representation } from '../src/registry/representation.ts'
import type { ResolvedVersion } from '../src/registry/resolve.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { createTurns } from '../src/turns.ts'
import { principalOf } from './authenticate.ts'
import { revisionHeaders } from './checkpoint-params.ts'
import { answers } from './schemas.ts'
import { type Extent, sendBytes } from './send-bytes.ts'

/** Of a leaf each: copying so much into sockets takes a few milliseconds. */
const WRITES_PER_ROUND = 8

const YEAR = 'private, max-age=31536000, immutable'

/** What an answer says of its bytes beside what follows from them. */
export interface Label {
  /** What the bytes are, for the sentence of an error. */
  readonly what: 'file' | 'tensor' | 'slice' | 'selection'
  /** Under which the caller would save them. */
  readonly fileName: string
  readonly headers?: Readonly<Record<string, string>>
  /** `?sha256=`, as the caller wrote it. */
  readonly expected?: string | undefined
}

/** Answers a GET or HEAD with verified bytes: conditions, ranges, digests, the entry in the audit log. */
export type ServeBytes = (
  request: FastifyRequest,
  reply: FastifyReply,
  resolved: ResolvedVersion,
  representation: Representation,
  label: Label,
) => Promise<FastifyReply>

/** One for all routes: their responses take turns at the event loop. */
export function createServeBytes({ audit, config, metrics }: Strongroom): ServeBytes {
  const nextTurn = createTurns(WRITES_PER_ROUND)

  return async (request, reply, resolved, representation, label) => {
    const validators = validatorsOf(resolved, representation.tag)
    reply.headers({ ...revisionHeaders(resolved), ...validatorHeaders(resolved, validators) })
    checkExpected(representation, label)
    const conditions = conditionsOf(request)
    const verdict = evaluate(conditions, validators)
    if (verdict === 'precondition_failed') throw preconditionFailed(representation, label)
    if (verdict === 'not_modified') return reply.code(304).send()
    for (const { blob, path } of representation.files)
      if (blob.state !== 'sealed') throw integrityFailure(path)
    reply.headers(bytesHeaders(representation, label))
    if (request.method === 'HEAD') {
      // The answer says how long the bytes are without anybody opening a blob.
      reply.hijack()
      reply.raw.writeHead(200, {
        ...plain(reply),
        'content-type': 'application/octet-stream',
        'content-length': representation.size,
      })
      reply.raw.end()
      return reply
    }
    const extent = extentOf(request.headers.range, conditions, validators, representation, label)
    const principal = principalOf(request)
    // Before the bytes: a socket that is gone no longer knows whose it was.
    const address = request.ip
    const parts = { stallTimeoutMs: config.STALL_TIMEOUT_MS, nextTurn }
    const { bytes, outcome } = await sendBytes(request, reply, representation, extent, parts)
    metrics.sentBytes.inc(bytes)
    const { taken } = representation
    for (const { path } of representation.files) {
      const ofFile = taken === undefined ? bytes : (taken.get(path) ?? 0)
      const context = contextOf(resolved, path)
      audit.download({ principal, address, ...context, bytes: ofFile, outcome })
    }
    return reply
  }
}

/** What a route that serves bytes says of itself. */
interface Described {
  readonly schema: FastifySchema
  readonly whole: string
  /** `getFile` and `headFile`, with `File` here. */
  readonly operation: string
  readonly summaries: { readonly get: string; readonly head: string }
  readonly refusals: readonly number[]
  /** Headers of good answers beside those that all bytes have: name → what it says. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Options of the two routes at its address. Fastify's own HEAD would run the GET and throw its bytes away. */
export function bytesOptions(route: Described) {
  const { schema, whole, operation, summaries, refusals, headers = {} } = route
  const described = {
    ...schema,
    tags: ['reading'],
    response: answers(
      bytesAnswers(whole, headers),
      ...[400, 401, 403, 404, 410, 412, 416, ...refusals],
    ),
  }
  const access = 'read' as const
  return {
    get: {
      exposeHeadRoute: false,
      config: { access },
      schema: { ...described, operationId: `get${operation}`, summary: summaries.get },
    },
    head: {
      config: { access, swagger: { exposeHeadRoute: true } },
      schema: { ...described, operationId: `head${operation}`, summary: summaries.head },
    },
  }
}

/** The good answers of a route that serves bytes. */
export const bytesAnswers = (
  whole: string,
  headers: Readonly<Record<string, string>>,
): Record<number, unknown> => ({
  200: bytesOf(whole, headers),
  206: bytesOf('One range, or several as multipart/byteranges', headers),
  304: { description: 'Not modified' },
})

/** Of every good answer with bytes. */
const BYTES_HEADERS = {
  'X-Checkpoint-Revision': 'Revision of the version that the ref led to',
  'X-Checkpoint-Version': 'Its name',
  ETag: 'Strong: `"sha256-HEX"`, or `"derived-HEX"` of a slice or selection',
  'Repr-Digest': 'SHA-256 of the whole (RFC 9530), where it is known',
}

const bytesOf = (description: string, headers: Readonly<Record<string, string>>): unknown => ({
  description,
  headers: Object.fromEntries(
    Object.entries({ ...BYTES_HEADERS, ...headers }).map(([name, says]) => [
      name,
      { type: 'string', description: says },
    ]),
  ),
  content: { 'application/octet-stream': { schema: {} } },
})

const plain = (reply: FastifyReply): Record<string, string | number> =>
  reply.getHeaders() as Record<string, string | number>

function validatorsOf({ version, via }: ResolvedVersion, tag: string): Validators {
  // Through a tag, a rollback would look like "not modified since".
  const dated = via === 'version' || via === 'revision'
  return {
    etag: `"${tag}"`,
    lastModified: dated ? new Date(version.createdAt) : undefined,
  }
}

function validatorHeaders(
  { via }: ResolvedVersion,
  { etag, lastModified }: Validators,
): Record<string, string> {
  return {
    etag,
    'cache-control': via === 'version' || via === 'revision' ? YEAR : 'no-cache',
    ...(lastModified === undefined ? {} : { 'last-modified': lastModified.toUTCString() }),
  }
}

function bytesHeaders(
  { sha256 }: Representation,
  { fileName, headers }: Label,
): Record<string, string> {
  return {
    'accept-ranges': 'bytes',
    ...(sha256 === undefined ? {} : { 'repr-digest': formatReprDigest(sha256) }),
    'x-content-type-options': 'nosniff',
    'content-disposition': contentDisposition(fileName),
    ...headers,
  }
}

/** RFC 6266: a plain name for old readers, the exact one in UTF-8. */
function contentDisposition(name: string): string {
  const plainName = name.replace(/[^\w.+-]/g, '_')
  const exact = encodeURIComponent(name).replace(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return plainName === name
    ? `attachment; filename="${name}"`
    : `attachment; filename="${plainName}"; filename*=UTF-8''${exact}`
}

function checkExpected(representation: Representation, label: Label): void {
  const { expected } = label
  if (expected === undefined) return
  if (parseSha256(expected, 'query.sha256') !== representation.sha256)
    throw preconditionFailed(representation, label)
}

function conditionsOf({ headers }: FastifyRequest): ConditionHeaders {
  return {
    ifMatch: headers['if-match'],
    ifNoneMatch: headers['if-none-match'],
    ifModifiedSince: headers['if-modified-since'],
    ifUnmodifiedSince: headers['if-unmodified-since'],
    ifRange: headers['if-range']?.toString(),
  }
}

function extentOf(
  range: string | undefined,
  { ifRange }: ConditionHeaders,
  validators: Validators,
  { size }: Representation,
  { what }: Label,
): Extent {
  const outcome = rangeApplies(ifRange, validators)
    ? parseRange(range, size)
    : { kind: 'whole' as const }
  if (outcome.kind === 'unsatisfiable') {
    throw new RegistryError('RANGE_NOT_SATISFIABLE', `No byte of the ${what} lies in the range.`, {
      size,
    })
  }
  return outcome
}

const preconditionFailed = ({ sha256, tag }: Representation, { what }: Label): RegistryError =>
  new RegistryError('PRECONDITION_FAILED', `The ${what} is not what the request expects.`, {
    actual: sha256 ?? tag,
  })

const integrityFailure = (path: string): RegistryError =>
  new RegistryError(
    'INTEGRITY_FAILURE',
    'The stored bytes no longer match the ledger; they are not served.',
    { path, chunk: null },
  )
