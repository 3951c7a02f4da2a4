import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { invalidField } from '../src/errors.ts'
import { describeTensor } from '../src/registry/describe.ts'
import { findTensor } from '../src/registry/find-tensors.ts'
import { fileOf } from '../src/registry/resolve.ts'
import { tensorSlice, wholeTensor } from '../src/registry/tensor-bytes.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { RefParams, resolveFor, revisionHeaders } from './checkpoint-params.ts'
import { Cursor, encodeCursor, Limit, linkNext, parseCursor } from './paging.ts'
import { answers, TensorPage } from './schemas.ts'
import { bytesOptions, type Label, type ServeBytes } from './serve-bytes.ts'

const TensorQuery = Type.Object(
  {
    name: Type.String({ description: 'Of the tensor' }),
    slice: Type.Optional(
      Type.String({
        description:
          'Python’s basic slicing: `0:10,:,3`; steps of 1 or more, negative indices, `...`; not empty',
      }),
    ),
    path: Type.Optional(
      Type.String({ description: 'The file to look in; needed where several hold the name' }),
    ),
    sha256: Type.Optional(
      Type.String({
        description: 'The hash that the caller expects of the whole tensor: 412 if it is another',
      }),
    ),
  },
  // A parameter that is misspelled must not pass for one that wasn't sent.
  { additionalProperties: false },
)
type TensorRequest = FastifyRequest<{
  Params: Static<typeof RefParams>
  Querystring: Static<typeof TensorQuery>
}>

export function tensorRoutes(
  app: FastifyInstance,
  strongroom: Strongroom,
  serve: ServeBytes,
): void {
  listRoute(app, strongroom)
  const { ledger, readVerified: read } = strongroom
  const url = '/v1/checkpoints/:owner/:name/:ref/tensor'
  const { get, head } = bytesOptions({
    schema: { params: RefParams, querystring: TensorQuery },
    whole: 'The tensor’s or the slice’s bytes, little-endian, in row-major order',
    operation: 'Tensor',
    summaries: { get: 'Download a tensor, or a slice of it', head: 'The headers of a tensor' },
    refusals: [422],
    headers: {
      'X-Tensor-Dtype': 'As safetensors names it',
      'X-Tensor-Shape': 'Of what is sent: a JSON array',
    },
  })

  const serveTensor = async (
    request: TensorRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply> => {
    const { name, slice, path, sha256: expected } = request.query
    const resolved = await resolveFor(strongroom, request, request.params)
    reply.headers(revisionHeaders(resolved))
    if (slice !== undefined && expected !== undefined)
      throw invalidField('query.sha256', 'is of a whole tensor; a slice has only its ETag')
    const found = await findTensor(ledger, resolved, name, path)
    const { tensor } = found
    const label = (what: Label['what'], shape: readonly number[]): Label => ({
      what,
      fileName: fileNameOf(name),
      headers: { 'x-tensor-dtype': tensor.dtype, 'x-tensor-shape': JSON.stringify(shape) },
      expected,
    })
    if (slice === undefined) {
      const whole = wholeTensor(read, resolved, found)
      return serve(request, reply, resolved, whole, label('tensor', tensor.shape))
    }
    const { representation, shape } = tensorSlice(read, resolved, found, slice)
    return serve(request, reply, resolved, representation, label('slice', shape))
  }
  app.get(url, get, serveTensor)
  app.head(url, head, serveTensor)
}

function listRoute(plain: FastifyInstance, strongroom: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const { ledger, config } = strongroom
  app.get(
    '/v1/checkpoints/:owner/:name/:ref/tensors',
    {
      config: { access: 'describe' },
      schema: {
        operationId: 'listTensors',
        tags: ['reading'],
        summary: 'Tensors of a version, in byte order of path and name',
        params: RefParams,
        querystring: Type.Object({
          path: Type.Optional(Type.String()),
          prefix: Type.Optional(Type.String({ description: 'Of the tensor’s name' })),
          limit: Limit,
          cursor: Cursor,
        }),
        response: answers({ 200: TensorPage }, 400, 401, 403, 404, 410),
      },
    },
    async (request, reply) => {
      const resolved = await resolveFor(strongroom, request, request.params)
      const { path, prefix, limit, cursor } = request.query
      if (path !== undefined) fileOf(resolved, path)
      const [afterPath, afterName] = parseCursor(cursor, 2)
      const after =
        afterPath === undefined || afterName === undefined
          ? undefined
          : { path: afterPath, name: afterName }
      const found = await ledger.tensorsOf({
        versionId: resolved.version.id,
        path,
        prefix,
        after,
        limit,
      })
      const last = found.length === limit ? found.at(-1) : undefined
      const next = last === undefined ? null : encodeCursor([last.path, last.name])
      reply.headers(revisionHeaders(resolved))
      linkNext(request, reply, config.PUBLIC_URL, 'cursor', next)
      return { items: found.map(describeTensor), next }
    },
  )
}

const MAX_FILE_NAME = 100

/** A tensor's name may be long, climb, or hold characters that turn the text around: a file's may not. */
const fileNameOf = (name: string): string =>
  `${name
    .replace(/[\p{C}/\\]/gu, '_')
    .slice(0, MAX_FILE_NAME)
    .toWellFormed()}.bin`
