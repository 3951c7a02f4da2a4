import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { placesIn, tellPlaces } from '../../src/hub/entries.ts'
import type { GitOid } from '../../src/hub/git-oid.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { parseForms } from './forms.ts'
import { followRev, RevParams } from './hub-params.ts'
import { isYes } from './hub-query.ts'
import { Entries, hubAnswers } from './hub-schemas.ts'
import { withoutSlash } from './tree.ts'

const MAX_PATHS = 1000

const PathsBody = Type.Object({
  paths: Type.Optional(
    Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: MAX_PATHS })], {
      description: `At most ${MAX_PATHS}; what there isn’t is left out of the answer`,
    }),
  ),
  expand: Type.Optional(
    Type.Union([Type.Boolean(), Type.String()], { description: 'Tells the commit of each' }),
  ),
})

/** `POST …/paths-info/{rev}`: a form from Python, JSON from JavaScript. */
export async function pathsInfoRoute(
  plain: FastifyInstance,
  strongroom: Strongroom,
  gitOid: GitOid,
): Promise<void> {
  await plain.register((scope, _options, done) => {
    parseForms(scope)
    scope.withTypeProvider<TypeBoxTypeProvider>().post(
      '/api/models/:owner/:name/paths-info/:rev',
      {
        config: { access: 'describe', changesNothing: true },
        schema: {
          operationId: 'hubPathsInfo',
          tags: ['hub'],
          summary: 'What is at these paths of a repository',
          params: RevParams,
          body: PathsBody,
          response: hubAnswers({ 200: Entries }, 400, 401, 403, 404, 410, 413, 415),
        },
      },
      async (request, reply) => {
        const { paths = [], expand } = request.body
        const resolved = await followRev(strongroom, request, reply, request.params)
        if (resolved === 'empty') return []
        const asked = new Set([paths].flat().map(withoutSlash))
        const places = await placesIn(resolved.files, '', true)
        const found = places.filter(({ path }) => asked.has(path))
        return tellPlaces(gitOid, resolved, found, isYes(expand))
      },
    )
    done()
  })
}
