import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { type Entry, pageOf, placesIn, tellPlaces } from '../../src/hub/entries.ts'
import type { GitOid } from '../../src/hub/git-oid.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { Cursor, encodeCursor, linkNext, parseCursor } from '../paging.ts'
import { endpointOf, followRev, RevParams } from './hub-params.ts'
import { HubLimit, isYes, pageSize, YesOrNo } from './hub-query.ts'
import { Entries, hubAnswers } from './hub-schemas.ts'

const DirectoryParams = Type.Object({
  ...RevParams.properties,
  '*': Type.String({ description: 'A directory' }),
})
const TreeQuery = Type.Object({
  recursive: YesOrNo('Tells what lies below too'),
  expand: YesOrNo('Tells the commit of each'),
  limit: HubLimit,
  cursor: Cursor,
})

type TreeRequest = FastifyRequest<{
  Params: Static<typeof RevParams> & { readonly '*'?: string }
  Querystring: Static<typeof TreeQuery>
}>

/** `GET …/tree/{rev}[/{directory}]`. */
export function treeRoutes(plain: FastifyInstance, strongroom: Strongroom, gitOid: GitOid): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()

  async function tell(request: TreeRequest, reply: FastifyReply): Promise<readonly Entry[]> {
    const { recursive, expand, limit, cursor } = request.query
    const { rev, directory } = whereIn(request.params)
    const resolved = await followRev(strongroom, request, reply, { ...request.params, rev })
    const files = resolved === 'empty' ? [] : resolved.files
    const [after] = parseCursor(cursor, 1)
    const places = await placesIn(files, directory, isYes(recursive))
    const { page, next } = pageOf(places, after, pageSize(limit))
    const following = next === undefined ? null : encodeCursor([next])
    linkNext(request, reply, endpointOf(request, strongroom.config), 'cursor', following)
    return resolved === 'empty' ? [] : tellPlaces(gitOid, resolved, page, isYes(expand))
  }

  const described = {
    tags: ['hub'],
    querystring: TreeQuery,
    response: hubAnswers({ 200: Entries }, 400, 401, 403, 404, 410),
  }
  app.get(
    '/api/models/:owner/:name/tree/:rev',
    {
      config: { access: 'describe' },
      schema: {
        ...described,
        operationId: 'hubTree',
        summary: 'What lies in a repository',
        params: RevParams,
      },
    },
    tell,
  )
  app.get(
    '/api/models/:owner/:name/tree/:rev/*',
    {
      config: { access: 'describe' },
      schema: {
        ...described,
        operationId: 'hubTreeDirectory',
        summary: 'What lies in a directory of a repository',
        params: DirectoryParams,
      },
    },
    tell,
  )
}

/**
 * JavaScript's client writes a revision as it is: `refs/heads/main` comes in three segments. No other has a slash in it
 * that could lead to a version, so that the first segment says it.
 */
function whereIn({ rev, '*': rest = '' }: TreeRequest['params']): {
  readonly rev: string
  readonly directory: string
} {
  const [, ref, below] = /^((?:heads|tags|pr|convert)\/[^/]+)(?:\/(.*))?$/s.exec(rest) ?? []
  const [whole, directory] =
    rev === 'refs' && ref !== undefined ? [`refs/${ref}`, below ?? ''] : [rev, rest]
  return { rev: whole, directory: withoutSlash(directory) }
}

export const withoutSlash = (path: string): string => path.replace(/\/$/, '')
