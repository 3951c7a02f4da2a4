import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { requireScope } from '../src/access/principal.ts'
import { invalidField } from '../src/errors.ts'
import { describeVersion } from '../src/registry/describe.ts'
import { type CheckpointName, parseCheckpointName } from '../src/registry/names.ts'
import { withdraw } from '../src/registry/withdraw.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { principalOf } from './authenticate.ts'
import { CheckpointParams, revisionHeaders } from './checkpoint-params.ts'
import { enterRefusal } from './enter-refusal.ts'
import { answers, Description } from './schemas.ts'

const Params = Type.Object({
  ...CheckpointParams.properties,
  version: Type.String({ description: 'A version’s own name: no tag, no revision' }),
})

const Reason = Type.Optional(
  Type.String({ maxLength: 1000, pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]*$' }),
)

export function withdrawRoutes(plain: FastifyInstance, strongroom: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()

  app.delete(
    '/v1/checkpoints/:owner/:name/:version',
    {
      config: { access: 'admin' },
      // Before the body is asked for.
      onRequest: async (request) => {
        await enterRefusal(strongroom, request, subjectOf(request), () => checkpointOf(request))
      },
      schema: {
        operationId: 'withdrawVersion',
        tags: ['publishing'],
        summary: 'Withdraw a version for good: it is served no more, and its name never used again',
        description:
          'The reason, told to everyone who asks for it, is in the query or in the body.',
        params: Params,
        querystring: Type.Object({ reason: Reason }),
        body: Type.Union([
          Type.Object({ reason: Reason }, { additionalProperties: false }),
          Type.Null(),
        ]),
        response: answers({ 200: Description }, 400, 401, 403, 404, 413, 415),
      },
    },
    async (request, reply) => {
      const withdrawn = await enterRefusal(strongroom, request, subjectOf(request), () =>
        withdraw(strongroom.ledger, {
          principal: principalOf(request),
          address: request.ip,
          checkpoint: checkpointOf(request),
          version: request.params.version,
          reason: reasonOf(request.query.reason, request.body?.reason),
        }),
      )
      reply.headers(revisionHeaders(withdrawn))
      return describeVersion(withdrawn)
    },
  )
}

function checkpointOf(request: FastifyRequest): CheckpointName {
  const { owner, name } = request.params as Static<typeof Params>
  const checkpoint = parseCheckpointName(owner, name)
  requireScope(principalOf(request), checkpoint, 'write')
  return checkpoint
}

function subjectOf({ params }: FastifyRequest): string {
  const { owner, name, version } = params as Static<typeof Params>
  return `${owner}/${name}@${version}`
}

function reasonOf(query: string | undefined, body: string | undefined): string {
  if (query !== undefined && body !== undefined)
    throw invalidField('query.reason', 'must be given once')
  const reason = query ?? body ?? ''
  if (!reason.isWellFormed()) throw invalidField('body.reason', 'must be valid Unicode')
  return reason
}
