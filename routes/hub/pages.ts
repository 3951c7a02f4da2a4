import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { RevParams } from './hub-params.ts'
import { hubAnswers } from './hub-schemas.ts'
import { OWNED } from './owned-address.ts'

const PageParams = Type.Object({ ...RevParams.properties, '*': Type.String() })
type Params = Static<typeof RevParams> & { readonly '*'?: string }

/** Where each of the pages leads that clients print addresses of. */
const PLACES = {
  commit: ({ owner, name, rev }: Params) => `/api/models/${owner}/${name}/revision/${rev}`,
  tree: ({ owner, name, rev, '*': path = '' }: Params) =>
    `/api/models/${owner}/${name}/tree/${rev}${path === '' ? '' : `/${path}`}`,
  blob: ({ owner, name, rev, '*': path = '' }: Params) =>
    `/${owner}/${name}/resolve/${rev}/${path}`,
} as const

/** The addresses that clients print after a push lead to what there is to see. */
export function pageRoutes(app: FastifyInstance): void {
  for (const [url, page, operationId] of [
    ['/:owner/:name/commit/:rev', 'commit', 'hubCommitPage'],
    ['/:owner/:name/tree/:rev', 'tree', 'hubTreePage'],
    ['/:owner/:name/tree/:rev/*', 'tree', 'hubTreePageBelow'],
    ['/:owner/:name/blob/:rev/*', 'blob', 'hubBlobPage'],
  ] as const)
    app.get(
      url,
      {
        ...OWNED,
        config: { access: 'describe' },
        schema: {
          operationId,
          tags: ['hub'],
          summary: `Leads to what a client means by the address of a ${page}`,
          params: url.endsWith('*') ? PageParams : RevParams,
          response: hubAnswers({ 302: { description: 'There' } }, 401, 403),
        },
      },
      (request: FastifyRequest, reply: FastifyReply) => {
        const params = Object.entries(request.params as Params).map(([key, text]) => [
          key,
          text
            .split('/')
            .map(encodeURIComponent)
            .join(key === '*' ? '/' : '%2F'),
        ])
        return reply.redirect(PLACES[page](Object.fromEntries(params) as Params))
      },
    )
}
