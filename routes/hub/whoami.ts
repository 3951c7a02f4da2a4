import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { may } from '../../src/access/roles.ts'
import { knownRepo } from '../../src/hub/known-repo.ts'
import { hubId } from '../../src/hub/model-info.ts'
import { namespaceOf } from '../../src/hub/namespace.ts'
import type { CheckpointName } from '../../src/registry/names.ts'
import { notFound } from '../../src/registry/resolve.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { principalOf } from '../authenticate.ts'
import { readableRepo, RepoParams, writableRepo } from './hub-params.ts'
import { hubAnswers, Whoami } from './hub-schemas.ts'

/** `GET /api/whoami-v2` and `GET …/auth-check[/write]`: what a token is good for. */
export function whoamiRoutes(plain: FastifyInstance, { ledger }: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const tags = ['hub']

  app.get(
    '/api/whoami-v2',
    {
      config: { access: 'any_token' },
      schema: {
        operationId: 'hubWhoami',
        tags,
        summary: 'The token that this request was sent with, told as an account',
        response: hubAnswers({ 200: Whoami }, 401),
      },
    },
    async (request) => {
      const principal = principalOf(request)
      const { tokenId, name, role } = principal
      const token = await ledger.token(tokenId)
      if (token === undefined) throw notFound('token')
      const { createdAt } = token
      return {
        type: 'user',
        id: hubId(tokenId),
        name: namespaceOf(principal),
        fullname: name,
        email: null,
        emailVerified: false,
        isPro: false,
        canPay: false,
        periodEnd: null,
        avatarUrl: '',
        orgs: [],
        auth: {
          type: 'access_token',
          accessToken: {
            displayName: name,
            role: may(role, 'publish') ? 'write' : 'read',
            createdAt,
          },
        },
      }
    },
  )

  type AuthRequest = FastifyRequest<{ Params: Static<typeof RepoParams> }>
  const check =
    (repoOf: (request: AuthRequest, params: AuthRequest['params']) => CheckpointName) =>
    async (request: AuthRequest): Promise<object> => {
      await knownRepo(ledger, repoOf(request, request.params))
      return {}
    }
  const checking = {
    tags,
    params: RepoParams,
    response: hubAnswers({ 200: Type.Object({}) }, 400, 401, 403, 404),
  }
  app.get(
    '/api/models/:owner/:name/auth-check',
    {
      config: { access: 'read' },
      schema: {
        ...checking,
        operationId: 'hubAuthCheck',
        summary: 'Whether the caller may read a repository',
      },
    },
    check(readableRepo),
  )
  app.get(
    '/api/models/:owner/:name/auth-check/write',
    {
      config: { access: 'publish' },
      schema: {
        ...checking,
        operationId: 'hubAuthCheckWrite',
        summary: 'Whether the caller may publish in a repository',
      },
    },
    check(writableRepo),
  )
}
