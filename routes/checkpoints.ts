import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import {
  describeCheckpoint,
  describeVersion,
  hashesOf,
  summarize,
} from '../src/registry/describe.ts'
import { policyFor } from '../src/registry/policy.ts'
import { fileOf, notFound } from '../src/registry/resolve.ts'
import type { FileVerdict } from '../src/registry/verify.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { principalOf } from './authenticate.ts'
import {
  actorOf,
  CheckpointParams,
  pathOrDefault,
  readableCheckpoint,
  RefParams,
  resolveFor,
  revisionHeaders,
  subjectOf,
} from './checkpoint-params.ts'
import { Cursor, encodeCursor, Limit, linkNext, parseCursor } from './paging.ts'
import { answers, Checkpoint, CheckpointPage, Description, Hashes, Verdict } from './schemas.ts'
import { waitInLine } from './wait-in-line.ts'

export function checkpointRoutes(plain: FastifyInstance, strongroom: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const { ledger, config, audit, verifications } = strongroom
  const describing = { access: 'describe' } as const
  const tags = ['reading']

  app.get(
    '/v1/checkpoints',
    {
      config: describing,
      schema: {
        operationId: 'listCheckpoints',
        tags,
        summary: 'Checkpoints within the caller’s scope',
        querystring: Type.Object({
          owner: Type.Optional(Type.String()),
          prefix: Type.Optional(Type.String({ description: 'Of owner/name' })),
          limit: Limit,
          cursor: Cursor,
        }),
        response: answers({ 200: CheckpointPage }, 400, 401, 403),
      },
    },
    async (request, reply) => {
      const { owner, prefix, limit, cursor } = request.query
      const { scope } = principalOf(request)
      const [after] = parseCursor(cursor, 1)
      const found = await ledger.checkpoints({ scope, owner, prefix, after, limit })
      const last = found.length === limit ? found.at(-1) : undefined
      const next = last === undefined ? null : encodeCursor([`${last.owner}/${last.name}`])
      linkNext(request, reply, config.PUBLIC_URL, 'cursor', next)
      return { items: found.map(summarize), next }
    },
  )

  app.get(
    '/v1/checkpoints/:owner/:name',
    {
      config: describing,
      schema: {
        operationId: 'getCheckpoint',
        tags,
        summary: 'A checkpoint: its versions, tags and policy',
        params: CheckpointParams,
        response: answers({ 200: Checkpoint }, 400, 401, 403, 404),
      },
    },
    async (request) => {
      const { owner, name } = readableCheckpoint(request, request.params)
      const overview = await ledger.checkpoint(owner, name)
      if (overview === undefined) throw notFound('checkpoint')
      return describeCheckpoint(overview, await policyFor(ledger, { owner, name }))
    },
  )

  app.get(
    '/v1/checkpoints/:owner/:name/:ref',
    {
      config: describing,
      schema: {
        operationId: 'getVersion',
        tags,
        summary: 'The description of a version',
        params: RefParams,
        response: answers({ 200: Description }, 400, 401, 403, 404, 410),
      },
    },
    async (request, reply) => {
      const resolved = await resolveFor(strongroom, request, request.params)
      reply.headers(revisionHeaders(resolved))
      return describeVersion(resolved)
    },
  )

  app.get(
    '/v1/checkpoints/:owner/:name/:ref/hashes',
    {
      config: describing,
      schema: {
        operationId: 'getHashes',
        tags,
        summary: 'The hashes with which a client checks any range by itself',
        params: RefParams,
        querystring: Type.Object({
          path: Type.Optional(Type.String({ default: 'model.safetensors' })),
        }),
        response: answers({ 200: Hashes }, 400, 401, 403, 404, 410),
      },
    },
    async (request, reply) => {
      const resolved = await resolveFor(strongroom, request, request.params)
      const file = fileOf(resolved, pathOrDefault(request.query.path))
      reply.headers(revisionHeaders(resolved))
      return hashesOf(ledger, file)
    },
  )

  app.post(
    '/v1/checkpoints/:owner/:name/:ref/verify',
    {
      config: { access: 'read', changesNothing: true },
      schema: {
        operationId: 'verifyVersion',
        tags,
        summary: 'Re-hash everything at rest',
        params: RefParams,
        response: answers({ 200: Verdict }, 400, 401, 403, 404, 410, 429),
      },
    },
    async (request, reply) => {
      const resolved = await resolveFor(strongroom, request, request.params)
      const leave = await waitInLine(verifications, request, 'verifications')
      try {
        const verdict = await strongroom.verifyVersion(resolved)
        const { revision } = resolved.version
        audit.note({
          action: 'verify',
          ...actorOf(principalOf(request), request),
          subject: subjectOf(resolved),
          revision,
          outcome: verdict.valid ? 'ok' : 'INTEGRITY_FAILURE',
          details: { failing: failing(verdict.files) },
        })
        reply.headers(revisionHeaders(resolved))
        return verdict
      } finally {
        leave()
      }
    },
  )
}

const MAX_FAILING = 100

/** The files that don't hold, as an audit entry names them. */
const failing = (files: readonly FileVerdict[]): readonly object[] =>
  files
    .filter(({ valid }) => !valid)
    .slice(0, MAX_FAILING)
    .map(({ path, chunk, rows }) => ({ path, chunk, rows }))
