import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { requireScope } from '../src/access/principal.ts'
import { invalidField } from '../src/errors.ts'
import { parseCheckpointName, parseTagName } from '../src/registry/names.ts'
import { notFound } from '../src/registry/resolve.ts'
import { tagHistory } from '../src/registry/tag-history.ts'
import { deleteTag, moveTag, type TagRequest } from '../src/registry/tags.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { principalOf } from './authenticate.ts'
import { CheckpointParams, readableCheckpoint } from './checkpoint-params.ts'
import { enterRefusal } from './enter-refusal.ts'
import { Cursor, encodeCursor, Limit, linkNext, parseCursor } from './paging.ts'
import { answers, Tag, TagHistory, TagMoved } from './schemas.ts'

const TagParams = Type.Object({
  ...CheckpointParams.properties,
  tag: Type.String({ description: 'Named like a version' }),
})
type Params = Static<typeof TagParams>

const Revision = Type.String({ pattern: '^[0-9A-Fa-f]{64}$' })

const Move = Type.Object(
  {
    ref: Type.String({
      minLength: 1,
      maxLength: 128,
      description: 'A revision, a version, a tag, or 12 and more digits of a revision',
    }),
    expected: Type.Optional(
      Type.Union([Revision, Type.Null()], {
        description: 'The revision that the tag must name now; null: there must be no such tag',
      }),
    ),
  },
  { additionalProperties: false },
)

export function tagRoutes(plain: FastifyInstance, strongroom: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const { ledger, config } = strongroom
  const url = '/v1/checkpoints/:owner/:name/tags/:tag'
  const tags = ['tags']

  const changing = {
    config: { access: 'publish' },
    // Before the body is asked for.
    onRequest: async (request: FastifyRequest): Promise<void> => {
      await enterRefusal(strongroom, request, subjectOf(request), () => requestOf(request))
    },
  } as const

  app.put(
    url,
    {
      ...changing,
      schema: {
        operationId: 'moveTag',
        tags,
        summary: 'Make a tag, or move it to another version',
        params: TagParams,
        body: Move,
        response: answers(
          {
            200: { ...TagMoved, description: 'Moved, or there already' },
            201: { ...TagMoved, description: 'There was no such tag before' },
          },
          ...[400, 401, 403, 404, 409, 410, 412, 413, 415],
        ),
      },
    },
    async (request, reply) => {
      const { ref, expected } = request.body
      const { outcome, ...moved } = await enterRefusal(
        strongroom,
        request,
        subjectOf(request),
        () => moveTag(ledger, requestOf(request, expected), ref),
      )
      reply.headers(headersOf(moved))
      if (outcome === 'created') reply.code(201)
      return { tag: request.params.tag, ...moved }
    },
  )

  app.delete(
    url,
    {
      ...changing,
      schema: {
        operationId: 'deleteTag',
        tags,
        summary: 'Delete a tag; what it named stays, and its history too',
        params: TagParams,
        querystring: Type.Object({ expected: Type.Optional(Revision) }),
        response: answers({ 204: Type.Null() }, 400, 401, 403, 404, 412),
      },
    },
    async (request, reply) => {
      await enterRefusal(strongroom, request, subjectOf(request), () =>
        deleteTag(ledger, requestOf(request, request.query.expected)),
      )
      return reply.code(204).send(null)
    },
  )

  app.get(
    url,
    {
      config: { access: 'describe' },
      schema: {
        operationId: 'getTag',
        tags,
        summary: 'What a tag names, be it withdrawn or not',
        params: TagParams,
        response: answers({ 200: Tag }, 400, 401, 403, 404),
      },
    },
    async (request, reply) => {
      const { owner, name } = readableCheckpoint(request, request.params)
      const tag = parseTagName(request.params.tag)
      const found = await ledger.tag(owner, name, tag)
      if (found === undefined) {
        const known = await ledger.checkpoint(owner, name)
        throw notFound(known === undefined ? 'checkpoint' : 'tag')
      }
      const { version, revision, movedAt } = found
      reply.headers(headersOf(found))
      return { tag, version, revision, moved_at: movedAt }
    },
  )

  app.get(
    `${url}/history`,
    {
      config: { access: 'describe' },
      schema: {
        operationId: 'getTagHistory',
        tags,
        summary: 'What a tag named, when, and who moved it, newest first',
        description: 'From the audit log. A page may hold fewer items than its limit and go on.',
        params: TagParams,
        querystring: Type.Object({ limit: Limit, cursor: Cursor }),
        response: answers({ 200: TagHistory }, 400, 401, 403, 404),
      },
    },
    async (request, reply) => {
      const checkpoint = readableCheckpoint(request, request.params)
      const tag = parseTagName(request.params.tag)
      const { limit, cursor } = request.query
      const { items, next } = await tagHistory(ledger, checkpoint, tag, beforeOf(cursor), limit)
      const nextCursor = next === null ? null : encodeCursor([String(next)])
      linkNext(request, reply, config.PUBLIC_URL, 'cursor', nextCursor)
      return { items, next: nextCursor }
    },
  )
}

/** What a caller in whose scope the checkpoint lies asks of the tag of the URL. */
function requestOf(request: FastifyRequest, expected?: string | null): TagRequest {
  const { owner, name, tag } = request.params as Params
  const principal = principalOf(request)
  const checkpoint = parseCheckpointName(owner, name)
  requireScope(principal, checkpoint, 'write')
  return { principal, address: request.ip, checkpoint, tag: parseTagName(tag), expected }
}

const subjectOf = ({ params }: FastifyRequest): string => {
  const { owner, name, tag } = params as Params
  return `${owner}/${name}@${tag}`
}

const headersOf = ({ version, revision }: { version: string; revision: string }) => ({
  'x-checkpoint-revision': revision,
  'x-checkpoint-version': version,
})

function beforeOf(cursor: string | undefined): number | undefined {
  const [text] = parseCursor(cursor, 1)
  if (text === undefined) return undefined
  const before = Number(text)
  if (!Number.isSafeInteger(before)) throw invalidField('query.cursor', 'must be an earlier `next`')
  return before
}
