import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { requireRole } from '../src/access/principal.ts'
import { createGate } from '../src/gate.ts'
import { type Change, type DiffTensor, diffVersions } from '../src/registry/diff.ts'
import { type ResolvedVersion, resolveVersion } from '../src/registry/resolve.ts'
import type { TensorChange } from '../src/registry/tensor-change.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { principalOf } from './authenticate.ts'
import { CheckpointParams, readableCheckpoint, revisionHeaders } from './checkpoint-params.ts'
import { listOf, objectOf, sendJson } from './json-in-turns.ts'
import { Cursor, encodeCursor, linkNext, parseCursor } from './paging.ts'
import { answers, Diff } from './schemas.ts'
import { waitInLine } from './wait-in-line.ts'

const MAX_DIFFERENCES = 10_000
/** Comparing values reads all bytes of both sides. */
const MAX_DIFFERENCES_WITH_VALUES = 1_000

const DiffQuery = Type.Object(
  {
    from: Type.String({ description: 'A ref of this checkpoint' }),
    to: Type.String({ description: 'Another one' }),
    values: Type.Optional(
      Type.String({
        enum: ['0', '1'],
        description: `1 compares the values of changed tensors, which asks for a role that reads weights; a page then has at most ${MAX_DIFFERENCES_WITH_VALUES} differences`,
      }),
    ),
    limit: Type.Integer({
      minimum: 1,
      maximum: MAX_DIFFERENCES,
      default: MAX_DIFFERENCES,
      description: 'Differences on a page, which ends between two names',
    }),
    cursor: Cursor,
  },
  // A parameter that is misspelled must not pass for one that wasn't sent.
  { additionalProperties: false },
)

export function diffRoutes(plain: FastifyInstance, strongroom: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const { ledger, config } = strongroom
  const comparisons = createGate(1)

  /** Waits for its turn; calls `compare` unless the caller has hung up by then. */
  async function inTurn<T>(
    request: FastifyRequest,
    reply: FastifyReply,
    compare: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const hungUp = new AbortController()
    reply.raw.once('close', () => {
      hungUp.abort()
    })
    if (reply.raw.destroyed) hungUp.abort()
    const leave = await waitInLine(comparisons, request, 'comparisons')
    try {
      hungUp.signal.throwIfAborted()
      return await compare(hungUp.signal)
    } finally {
      leave()
    }
  }

  async function valuesOf(
    versions: { readonly from: ResolvedVersion; readonly to: ResolvedVersion },
    changed: readonly Change[],
    signal: AbortSignal,
  ): Promise<readonly TensorChange[]> {
    const values: TensorChange[] = []
    for (const change of changed)
      values.push(await strongroom.compareTensors(versions, change, signal))
    return values
  }

  app.get(
    '/v1/checkpoints/:owner/:name/diff',
    {
      config: { access: 'describe' },
      schema: {
        operationId: 'diffVersions',
        tags: ['reading'],
        summary: 'What differs between the tensors of two versions',
        description:
          'Tensors are compared by name, and by SHA-256, dtype and shape; in which file they lie makes no difference. Lists are in byte order of name. `X-Checkpoint-*` are of `to`.',
        params: CheckpointParams,
        querystring: DiffQuery,
        response: answers({ 200: Diff }, 400, 401, 403, 404, 410, 429),
      },
    },
    async (request, reply) => {
      const { limit, cursor, values } = request.query
      const withValues = values === '1'
      if (withValues) requireRole(principalOf(request), 'read')
      const checkpoint = readableCheckpoint(request, request.params)
      const from = await resolveVersion(ledger, checkpoint, request.query.from)
      const to = await resolveVersion(ledger, checkpoint, request.query.to)
      const [after = ''] = parseCursor(cursor, 1)
      const most = withValues ? Math.min(limit, MAX_DIFFERENCES_WITH_VALUES) : limit
      const page = await diffVersions(ledger, from, to, { after, limit: most })
      let changes: readonly TensorChange[] = []
      if (withValues && page.changed.length > 0) {
        const compare = (signal: AbortSignal) => valuesOf({ from, to }, page.changed, signal)
        try {
          changes = await inTurn(request, reply, compare)
        } catch (error) {
          if (!reply.raw.destroyed) throw error
          // Nobody is left to be answered.
          return reply.hijack()
        }
      }
      const next = page.next === undefined ? null : encodeCursor([page.next])
      reply.headers(revisionHeaders(to))
      linkNext(request, reply, config.PUBLIC_URL, 'cursor', next)
      const answer = objectOf({
        from: nameOf(from),
        to: nameOf(to),
        added: listOf(page.added, describe),
        removed: listOf(page.removed, describe),
        changed: listOf(page.changed, (change, i) => ({
          ...describe(change.to),
          from: where(change.from),
          ...changes[i],
        })),
        same: page.same,
        next,
      })
      return sendJson(reply, answer)
    },
  )
}

const nameOf = ({ version: { version, revision } }: ResolvedVersion) => ({ version, revision })

const where = ({ tensor: { path, dtype, shape, sha256 } }: DiffTensor) => ({
  path,
  dtype,
  shape: [...shape],
  sha256,
})

const describe = (found: DiffTensor) => ({
  name: found.tensor.name,
  ...where(found),
  size: found.tensor.end - found.tensor.begin,
})
