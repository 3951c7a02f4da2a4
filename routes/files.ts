import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { RegistryError } from '../src/errors.ts'
import { formatReprDigest } from '../src/http/digest-header.ts'
import {
  type ConditionHeaders,
  evaluate,
  rangeApplies,
  type Validators,
} from '../src/http/preconditions.ts'
import { parseRange } from '../src/http/range.ts'
import { parseFilePath, parseSha256 } from '../src/registry/names.ts'
import { fileOf, type ResolvedVersion } from '../src/registry/resolve.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { createTurns } from '../src/turns.ts'
import { principalOf } from './authenticate.ts'
import { RefParams, resolveFor, revisionHeaders, subjectOf } from './checkpoint-params.ts'
import { answers } from './schemas.ts'
import { type Selection, sendBlob } from './send-file.ts'

const FileParams = Type.Object({
  ...RefParams.properties,
  '*': Type.String({ description: 'Path of the file inside the version' }),
})
const FileQuery = Type.Object({
  sha256: Type.Optional(
    Type.String({ description: 'The hash that the caller expects: 412 if it is another' }),
  ),
})
type FileRequest = FastifyRequest<{
  Params: Static<typeof FileParams>
  Querystring: Static<typeof FileQuery>
}>

/** Of a leaf each: copying so much into sockets takes a few milliseconds. */
const WRITES_PER_ROUND = 8

const YEAR = 'private, max-age=31536000, immutable'

export function fileRoutes(app: FastifyInstance, strongroom: Strongroom): void {
  const { audit, config, readVerified: read } = strongroom
  const nextTurn = createTurns(WRITES_PER_ROUND)

  const serve =
    (method: 'GET' | 'HEAD') =>
    async (request: FileRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const resolved = await resolveFor(strongroom, request, request.params)
      const { blob, path } = fileOf(resolved, parseFilePath(request.params['*']))
      const { sha256, size, state } = blob
      const validators = validatorsOf(resolved, sha256)
      reply.headers({ ...revisionHeaders(resolved), ...validatorHeaders(resolved, validators) })
      checkExpected(request, sha256)
      const conditions = conditionsOf(request)
      const verdict = evaluate(conditions, validators)
      if (verdict === 'precondition_failed') throw preconditionFailed(sha256)
      if (verdict === 'not_modified') return reply.code(304).send()
      const context = { path, subject: subjectOf(resolved), revision: resolved.version.revision }
      if (state !== 'sealed') throw integrityFailure(path)
      reply.headers(fileHeaders(sha256, path))
      if (method === 'HEAD') {
        // The answer says how long the file is without anybody opening it.
        reply.hijack()
        reply.raw.writeHead(200, {
          ...plain(reply),
          'content-type': 'application/octet-stream',
          'content-length': size,
        })
        reply.raw.end()
        return reply
      }
      const selection = select(request.headers.range, conditions, validators, size)
      const principal = principalOf(request)
      // Before the bytes: a socket that is gone no longer knows whose it was.
      const address = request.ip
      const parts = { read, stallTimeoutMs: config.STALL_TIMEOUT_MS, nextTurn }
      const sent = await sendBlob(request, reply, blob, selection, context, parts)
      strongroom.metrics.sentBytes.inc(sent.bytes)
      audit.download({ principal, address, ...context, ...sent })
      return reply
    }

  const url = '/v1/checkpoints/:owner/:name/:ref/files/*'
  const schema = {
    tags: ['reading'],
    params: FileParams,
    querystring: FileQuery,
    response: answers(
      {
        200: bytesOf('The whole file, every byte checked against the ledger'),
        206: bytesOf('One range, or several as multipart/byteranges'),
        304: { description: 'Not modified' },
      },
      ...[400, 401, 403, 404, 410, 412, 416],
    ),
  }
  app.get(
    url,
    {
      exposeHeadRoute: false,
      config: { access: 'read' },
      schema: { ...schema, operationId: 'getFile', summary: 'Download a file, or ranges of it' },
    },
    serve('GET'),
  )
  app.head(
    url,
    {
      config: { access: 'read', swagger: { exposeHeadRoute: true } },
      schema: { ...schema, operationId: 'headFile', summary: 'The headers of a download' },
    },
    serve('HEAD'),
  )
}

const bytesOf = (description: string): unknown => ({
  description,
  content: { 'application/octet-stream': { schema: {} } },
})

const plain = (reply: FastifyReply): Record<string, string | number> =>
  reply.getHeaders() as Record<string, string | number>

function validatorsOf({ version, via }: ResolvedVersion, sha256: string): Validators {
  // Through a tag, a rollback would look like "not modified since".
  const dated = via === 'version' || via === 'revision'
  return {
    etag: `"sha256-${sha256}"`,
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

function fileHeaders(sha256: string, path: string): Record<string, string> {
  return {
    'accept-ranges': 'bytes',
    'repr-digest': formatReprDigest(sha256),
    'x-content-type-options': 'nosniff',
    'content-disposition': contentDisposition(path.slice(path.lastIndexOf('/') + 1)),
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

function checkExpected({ query }: FileRequest, sha256: string): void {
  if (query.sha256 !== undefined && parseSha256(query.sha256, 'query.sha256') !== sha256) {
    throw preconditionFailed(sha256)
  }
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

function select(
  range: string | undefined,
  { ifRange }: ConditionHeaders,
  validators: Validators,
  size: number,
): Selection {
  const outcome = rangeApplies(ifRange, validators)
    ? parseRange(range, size)
    : { kind: 'whole' as const }
  if (outcome.kind === 'unsatisfiable') {
    throw new RegistryError('RANGE_NOT_SATISFIABLE', 'No byte of the file lies in the range.', {
      size,
    })
  }
  return outcome
}

const preconditionFailed = (actual: string): RegistryError =>
  new RegistryError('PRECONDITION_FAILED', 'The file is not what the request expects.', { actual })

const integrityFailure = (path: string): RegistryError =>
  new RegistryError(
    'INTEGRITY_FAILURE',
    'The stored bytes no longer match the ledger; they are not served.',
    { path, chunk: null },
  )
