import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { tellFile } from '../../src/hub/entries.ts'
import type { GitOid } from '../../src/hub/git-oid.ts'
import { knownRepo } from '../../src/hub/known-repo.ts'
import { summaryOf } from '../../src/hub/model-info.ts'
import { createCountParameters } from '../../src/hub/parameters.ts'
import type { ResolvedVersion } from '../../src/registry/resolve.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { listOf, objectOf, sendJson } from '../json-in-turns.ts'
import { followRev, readableRepo, RepoParams, RevParams } from './hub-params.ts'
import { hubAnswers, Model } from './hub-schemas.ts'
import { OWNED } from './owned-address.ts'

type ModelRequest = FastifyRequest<{
  Params: Static<typeof RepoParams> & { readonly rev?: string }
}>

/** `GET /api/models/{id}`, `…/revision/{rev}`, and the page of the repository. */
export function modelRoutes(plain: FastifyInstance, strongroom: Strongroom, gitOid: GitOid): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const { ledger } = strongroom
  const countParameters = createCountParameters(ledger)

  async function tell(request: ModelRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { rev = 'main' } = request.params
    const resolved = await followRev(strongroom, request, reply, { ...request.params, rev })
    const overview = await knownRepo(ledger, readableRepo(request, request.params))
    if (resolved === 'empty')
      return sendJson(reply, objectOf({ ...summaryOf(overview, undefined), siblings: [] }))
    const counted = await countParameters(resolved)
    return sendJson(
      reply,
      objectOf({
        ...summaryOf(overview, resolved.version),
        safetensors: counted.total === 0 ? undefined : counted,
        siblings: listOf(await siblingsOf(resolved), (sibling) => sibling),
      }),
    )
  }

  async function siblingsOf(resolved: ResolvedVersion): Promise<readonly object[]> {
    const siblings: object[] = []
    for (const file of resolved.files) {
      const { path, size, oid, lfs } = await tellFile(gitOid, resolved, file)
      const ofLfs = lfs && { sha256: lfs.oid, size: lfs.size, pointerSize: lfs.pointerSize }
      siblings.push({ rfilename: path, size, blobId: oid, lfs: ofLfs })
    }
    return siblings
  }

  const described = {
    tags: ['hub'],
    response: hubAnswers({ 200: Model }, 400, 401, 403, 404, 410),
  }
  app.get(
    '/api/models/:owner/:name',
    {
      config: { access: 'describe' },
      schema: {
        ...described,
        operationId: 'hubModel',
        summary: 'A repository: the files of its `main`',
        params: RepoParams,
      },
    },
    tell,
  )
  app.get(
    '/api/models/:owner/:name/revision/:rev',
    {
      config: { access: 'describe' },
      schema: {
        ...described,
        operationId: 'hubModelRevision',
        summary: 'A revision of a repository: its files',
        params: RevParams,
      },
    },
    tell,
  )
  app.get(
    '/:owner/:name',
    {
      ...OWNED,
      config: { access: 'describe' },
      schema: {
        ...described,
        operationId: 'hubPage',
        summary: 'What the address of a repository itself leads to',
        params: RepoParams,
      },
    },
    tell,
  )
}
