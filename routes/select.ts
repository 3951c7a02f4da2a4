import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { invalidField } from '../src/errors.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { RefParams, resolveFor, revisionHeaders } from './checkpoint-params.ts'
import { bytesOptions, type ServeBytes } from './serve-bytes.ts'

const SelectQuery = Type.Object(
  {
    name: Type.Optional(
      Type.Array(Type.String(), {
        description: 'Of a tensor; as many as the selection is to hold',
      }),
    ),
    prefix: Type.Optional(
      Type.String({ description: 'All tensors whose names begin so; empty for every one' }),
    ),
    path: Type.Optional(
      Type.String({ description: 'The file to look in; needed where several hold a name' }),
    ),
  },
  // A parameter that is misspelled must not pass for one that wasn't sent.
  { additionalProperties: false },
)
type SelectRequest = FastifyRequest<{
  Params: Static<typeof RefParams>
  Querystring: Static<typeof SelectQuery>
}>

export function selectRoutes(
  app: FastifyInstance,
  strongroom: Strongroom,
  serve: ServeBytes,
): void {
  const url = '/v1/checkpoints/:owner/:name/:ref/select'
  const { get, head } = bytesOptions({
    schema: { params: RefParams, querystring: SelectQuery },
    whole: 'A safetensors file of just these tensors, the same for the same tensors',
    operation: 'Selection',
    summaries: { get: 'Download some tensors as one file', head: 'The headers of a selection' },
    refusals: [413, 429, 431],
  })

  const serveSelection = async (
    request: SelectRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply> => {
    const { name: names = [], prefix, path } = request.query
    const resolved = await resolveFor(strongroom, request, request.params)
    reply.headers(revisionHeaders(resolved))
    if (names.length === 0 && prefix === undefined)
      throw invalidField('query.name', 'is needed, or a prefix')
    const { representation, release } = await strongroom.select(resolved, { names, prefix, path })
    try {
      const label = { what: 'selection', fileName: 'selection.safetensors' } as const
      return await serve(request, reply, resolved, representation, label)
    } finally {
      release()
    }
  }
  app.get(url, get, serveSelection)
  app.head(url, head, serveSelection)
}
