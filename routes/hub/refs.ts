import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { CheckpointOverview } from '../../db/ledger.ts'
import { knownRepo } from '../../src/hub/known-repo.ts'
import { commitOf, EMPTY_COMMIT } from '../../src/hub/revision.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { endpointOf, followRev, readableRepo, RepoParams, RevParams } from './hub-params.ts'
import { hubAnswers } from './hub-schemas.ts'
import { linkNext } from '../paging.ts'

const Ref = Type.Object({
  name: Type.String(),
  ref: Type.String(),
  targetCommit: Type.String(),
})
const Refs = Type.Object({
  branches: Type.Array(Ref),
  tags: Type.Array(Ref),
  converts: Type.Array(Ref),
})
const Commit = Type.Object({
  id: Type.String(),
  title: Type.String(),
  message: Type.String(),
  date: Type.String(),
  authors: Type.Array(Type.Object({ user: Type.String() })),
})

const PAGE = 50
const MAX_PAGE = 1000

/** Names that commits get by themselves say nothing that a person would look for among tags. */
const LABEL = /^r\d+$/

export function refRoutes(plain: FastifyInstance, strongroom: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const { ledger, config } = strongroom
  const tags = ['hub']
  const describing = { access: 'describe' } as const

  app.get(
    '/api/models/:owner/:name/refs',
    {
      config: describing,
      schema: {
        operationId: 'hubRefs',
        tags,
        summary: 'Branches, and tags, to which versions belong that were published under a name',
        params: RepoParams,
        response: hubAnswers({ 200: Refs }, 400, 401, 403, 404),
      },
    },
    async (request) => {
      return refsOf(await knownRepo(ledger, readableRepo(request, request.params)))
    },
  )

  app.get(
    '/api/models/:owner/:name/commits/:rev',
    {
      config: describing,
      schema: {
        operationId: 'hubCommits',
        tags,
        summary: 'How a revision came about, newest first',
        params: RevParams,
        querystring: Type.Object({
          p: Type.Optional(Type.Integer({ minimum: 0, maximum: 1000 })),
          limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE })),
        }),
        response: hubAnswers({ 200: Type.Array(Commit) }, 400, 401, 403, 404, 410),
      },
    },
    async (request, reply) => {
      const { p: page = 0, limit = PAGE } = request.query
      const head = await followRev(strongroom, request, reply, request.params)
      if (head === 'empty') return []
      const window = { skip: page * limit, limit: limit + 1 }
      const found = await ledger.history(head.version.id, window)
      if (found.length > limit) linkNext(request, reply, endpointOf(request, config), 'p', page + 1)
      return found.slice(0, limit).map((entry) => ({
        id: commitOf(entry.revision),
        title: entry.summary,
        message: entry.description,
        date: entry.createdAt,
        authors: [{ user: entry.createdBy }],
      }))
    },
  )
}

function refsOf({ versions, tags, branches, newBranches }: CheckpointOverview) {
  const commits = new Map(versions.map(({ version, revision }) => [version, commitOf(revision)]))
  const ref = (kind: 'heads' | 'tags', name: string, version: string | undefined) => ({
    name,
    ref: `refs/${kind}/${name}`,
    targetCommit: commits.get(version ?? '') ?? EMPTY_COMMIT,
  })
  const named = Object.entries(tags).filter(([tag]) => tag !== 'latest')
  return {
    branches: [
      ref('heads', 'main', tags['latest']),
      ...named.flatMap(([tag, version]) =>
        branches.includes(tag) ? [ref('heads', tag, version)] : [],
      ),
      ...newBranches.map((branch) => ref('heads', branch, undefined)),
    ],
    tags: [
      ...named.flatMap(([tag, version]) =>
        branches.includes(tag) ? [] : [ref('tags', tag, version)],
      ),
      ...versions.flatMap(({ version, state }) =>
        state === 'available' && !LABEL.test(version) ? [ref('tags', version, version)] : [],
      ),
    ],
    converts: [],
  }
}
