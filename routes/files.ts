import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { parseFilePath } from '../src/registry/names.ts'
import { contextOf, storedBytes } from '../src/registry/representation.ts'
import { fileOf } from '../src/registry/resolve.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { RefParams, resolveFor } from './checkpoint-params.ts'
import { bytesOptions, type ServeBytes } from './serve-bytes.ts'

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

export function fileRoutes(app: FastifyInstance, strongroom: Strongroom, serve: ServeBytes): void {
  const url = '/v1/checkpoints/:owner/:name/:ref/files/*'
  const { get, head } = bytesOptions({
    schema: { params: FileParams, querystring: FileQuery },
    whole: 'The whole file, every byte checked against the ledger',
    operation: 'File',
    summaries: { get: 'Download a file, or ranges of it', head: 'The headers of a download' },
    refusals: [],
  })

  const serveFile = async (request: FileRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const resolved = await resolveFor(strongroom, request, request.params)
    const file = fileOf(resolved, parseFilePath(request.params['*']))
    const { sha256, size } = file.blob
    const context = contextOf(resolved, file.path)
    const place = { sha256, begin: 0, end: size }
    const bytes = storedBytes(strongroom.readVerified, file, context, place)
    return serve(request, reply, resolved, bytes, {
      what: 'file',
      fileName: file.path.slice(file.path.lastIndexOf('/') + 1),
      expected: request.query.sha256,
    })
  }
  app.get(url, get, serveFile)
  app.head(url, head, serveFile)
}
