import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { setImmediate } from 'node:timers/promises'
import { type Static, Type } from 'typebox'
import type { CheckpointSummary } from '../../db/ledger.ts'
import { MODEL_TAGS, type ModelSummary, summaryOf } from '../../src/hub/model-info.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { principalOf } from '../authenticate.ts'
import { Cursor, encodeCursor, linkNext, parseCursor } from '../paging.ts'
import { endpointOf } from './hub-params.ts'
import { HubLimit, isYes, pageSize, YesOrNo } from './hub-query.ts'
import { hubAnswers, Models } from './hub-schemas.ts'

/** Repositories that one page looks at, whether or not they are what is searched for. */
const LOOKED_AT = 1000
const LOOK_UPS_A_TURN = 50

const ListQuery = Type.Object({
  author: Type.Optional(Type.String({ description: 'The owner' })),
  search: Type.Optional(Type.String({ description: 'A part of owner/name' })),
  filter: Type.Optional(
    Type.Array(Type.String(), { description: `Tags; every repository has ${MODEL_TAGS.join()}` }),
  ),
  pipeline_tag: Type.Optional(Type.String({ description: 'A task; no repository has one' })),
  gated: YesOrNo('No repository is'),
  limit: HubLimit,
  cursor: Cursor,
})

/** `GET /api/models`: by name, however else the caller would have them sorted. */
export function modelListRoute(plain: FastifyInstance, { ledger, config }: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()

  async function tell(found: readonly CheckpointSummary[]): Promise<readonly ModelSummary[]> {
    const told: ModelSummary[] = []
    for (const [i, summary] of found.entries()) {
      const { owner, name, latest } = summary
      const resolved = latest === undefined ? undefined : await ledger.resolve(owner, name, latest)
      told.push(summaryOf(summary, resolved?.version))
      if (i % LOOK_UPS_A_TURN === 0) await setImmediate()
    }
    return told
  }

  app.get(
    '/api/models',
    {
      config: { access: 'describe' },
      schema: {
        operationId: 'hubModels',
        tags: ['hub'],
        summary: 'Repositories within the caller’s scope',
        querystring: ListQuery,
        response: hubAnswers({ 200: Models }, 400, 401, 403),
      },
    },
    async (request, reply) => {
      const { author: owner, search = '', limit, cursor } = request.query
      if (asksForOthers(request.query)) return []
      const { scope } = principalOf(request)
      const [after] = parseCursor(cursor, 1)
      const most = search === '' ? pageSize(limit) : LOOKED_AT
      const seen = await ledger.checkpoints({ scope, owner, after, deleted: false, limit: most })
      const wanted = seen.filter((each) => idOf(each).toLowerCase().includes(search.toLowerCase()))
      const page = wanted.slice(0, pageSize(limit))
      const last = wanted.length > page.length ? page.at(-1) : seen.at(-1)
      const isLast = wanted.length === page.length && seen.length < most
      const next = isLast || last === undefined ? null : encodeCursor([idOf(last)])
      linkNext(request, reply, endpointOf(request, config), 'cursor', next)
      return tell(page)
    },
  )
}

const idOf = ({ owner, name }: CheckpointSummary): string => `${owner}/${name}`

const asksForOthers = ({ filter = [], pipeline_tag, gated }: Static<typeof ListQuery>): boolean =>
  pipeline_tag !== undefined || isYes(gated) || filter.some((tag) => !MODEL_TAGS.includes(tag))
