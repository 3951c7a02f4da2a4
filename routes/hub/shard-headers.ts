import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { readHeader, readShardIndex } from '../../src/hub/shard-headers.ts'
import { fileOf, notFound } from '../../src/registry/resolve.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { objectOf, sendJson } from '../json-in-turns.ts'
import { followRev, RepoParams } from './hub-params.ts'
import { hubAnswers, ShardHeaders } from './hub-schemas.ts'

/** `GET …/safetensors-metadata/{index}`: the headers of all shards of `main`. */
export function shardHeadersRoute(plain: FastifyInstance, strongroom: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const { readVerified } = strongroom
  app.get(
    '/api/models/:owner/:name/safetensors-metadata/*',
    {
      config: { access: 'describe' },
      schema: {
        operationId: 'hubShardHeaders',
        tags: ['hub'],
        summary: 'The safetensors headers of all shards that an index names',
        params: Type.Object({
          ...RepoParams.properties,
          '*': Type.String({ description: 'Path of the index' }),
        }),
        response: hubAnswers({ 200: ShardHeaders }, 400, 401, 403, 404, 413),
      },
    },
    async (request, reply) => {
      const { params } = request
      const resolved = await followRev(strongroom, request, reply, { ...params, rev: 'main' })
      if (resolved === 'empty') throw notFound('file')
      const index = fileOf(resolved, params['*'])
      if (index.blob.kind !== 'index') throw notFound('file')
      const { metadata, shards } = await readShardIndex(readVerified, resolved, index)
      const headers = shards.map((shard) => [shard.path, readHeader(readVerified, resolved, shard)])
      return sendJson(
        reply,
        objectOf({
          index: { metadata },
          headers: objectOf(Object.fromEntries(headers) as Record<string, unknown>),
        }),
      )
    },
  )
}
