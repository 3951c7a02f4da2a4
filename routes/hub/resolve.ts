import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import type { GitOid } from '../../src/hub/git-oid.ts'
import { contextOf, storedBytes } from '../../src/registry/representation.ts'
import { fileOf, notFound } from '../../src/registry/resolve.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { bytesAnswers, type ServeBytes } from '../serve-bytes.ts'
import { followRev, RevParams } from './hub-params.ts'
import { hubAnswers } from './hub-schemas.ts'
import { OWNED } from './owned-address.ts'

const FileParams = Type.Object({
  ...RevParams.properties,
  '*': Type.String({ description: 'Path of the file in the repository' }),
})
type FileRequest = FastifyRequest<{ Params: Static<typeof FileParams> }>

const HEADERS = {
  ETag: 'Of safetensors their SHA-256, of any other file git’s id of it',
  'X-Repo-Commit': 'Of the version: the first 40 digits of its revision',
  'X-Linked-Etag': 'As ETag',
  'X-Linked-Size': 'Of the whole file',
}

/** `GET|HEAD /{owner}/{name}/resolve/{rev}/{path}`, and `/raw/`, which is the same: nothing here is kept by pointers. */
export function resolveRoutes(
  app: FastifyInstance,
  strongroom: Strongroom,
  serve: ServeBytes,
  gitOid: GitOid,
): void {
  const answerFile = async (request: FileRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const resolved = await followRev(strongroom, request, reply, request.params)
    if (resolved === 'empty') throw notFound('file')
    const file = fileOf(resolved, request.params['*'])
    const { sha256, size, kind } = file.blob
    const context = contextOf(resolved, file.path)
    const tag = kind === 'safetensors' ? sha256 : await gitOid(file, context)
    const place = { sha256, begin: 0, end: size }
    const bytes = { ...storedBytes(strongroom.readVerified, file, context, place), tag }
    return serve(request, reply, resolved, bytes, {
      what: 'file',
      fileName: file.path.slice(file.path.lastIndexOf('/') + 1),
      headers: { 'x-linked-etag': `"${tag}"`, 'x-linked-size': String(size) },
    })
  }

  for (const [word, operationId] of [
    ['resolve', 'hubResolve'],
    ['raw', 'hubRaw'],
  ] as const) {
    const url = `/:owner/:name/${word}/:rev/*`
    const schema = {
      tags: ['hub'],
      params: FileParams,
      response: hubAnswers(
        bytesAnswers('The whole file, every byte checked against the ledger', HEADERS),
        ...[400, 401, 403, 404, 410, 412, 416],
      ),
    }
    app.get(
      url,
      {
        ...OWNED,
        exposeHeadRoute: false,
        config: { access: 'read' },
        schema: { ...schema, operationId, summary: `Download a file (${word})` },
      },
      answerFile,
    )
    app.head(
      url,
      {
        ...OWNED,
        config: { access: 'read', swagger: { exposeHeadRoute: true } },
        schema: {
          ...schema,
          operationId: `${operationId}Head`,
          summary: `The headers of a download (${word})`,
        },
      },
      answerFile,
    )
  }
}
