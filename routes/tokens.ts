import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance } from 'fastify'
import { randomUUID } from 'node:crypto'
import { Type } from 'typebox'
import type { Token as TokenRow } from '../db/ledger.ts'
import { forbidden } from '../src/access/principal.ts'
import { newTokenSecret, tokenDigest } from '../src/access/tokens.ts'
import { namesRealDay } from '../src/calendar.ts'
import { invalidField } from '../src/errors.ts'
import { parseScope, scopeWithin } from '../src/registry/names.ts'
import { notFound } from '../src/registry/resolve.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { principalOf } from './authenticate.ts'
import { actorOf } from './checkpoint-params.ts'
import { answers, NewToken, Token, TokenList } from './schemas.ts'

/** From there on an RFC 3339 time no longer has four digits for its year. */
const YEAR_10000 = Date.UTC(10_000, 0)

const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$/

const Wanted = Type.Object(
  {
    name: Type.String({
      minLength: 1,
      maxLength: 128,
      pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]+$',
    }),
    role: Type.Enum(['reader', 'writer', 'detector', 'auditor', 'admin']),
    scope: Type.String({
      default: '*',
      description: '`*`, `owner/*`, `owner/name` or `owner/prefix*`',
    }),
    expires_at: Type.Optional(Type.Union([Type.String({ description: 'RFC 3339' }), Type.Null()])),
  },
  { additionalProperties: false },
)

export function tokenRoutes(plain: FastifyInstance, { ledger }: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const config = { access: 'admin' } as const
  const tags = ['access']

  app.post(
    '/v1/tokens',
    {
      config,
      schema: {
        operationId: 'createToken',
        tags,
        summary: 'Make a token; its secret is shown this once',
        body: Wanted,
        response: answers({ 201: NewToken }, 400, 401, 403, 413, 415),
      },
    },
    async (request, reply) => {
      const { name, role, scope: given, expires_at: expiry } = request.body
      const principal = principalOf(request)
      const scope = parseScope(given)
      if (role === 'auditor' && scope !== '*')
        throw invalidField('body.scope', 'an auditor’s scope is *')
      if (!scopeWithin(scope, principal.scope))
        throw forbidden('A token reaches no further than the one that makes it.')
      const expiresAt = parseExpiry(expiry)
      const secret = newTokenSecret()
      const token = await ledger.createToken(
        {
          id: randomUUID(),
          sha256: tokenDigest(secret),
          name,
          role,
          scope,
          createdBy: principal.name,
          expiresAt,
        },
        {
          action: 'token.create',
          ...actorOf(principal, request),
          outcome: 'ok',
          details: { name, role, scope, expires_at: expiresAt },
        },
      )
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .send({ token: secret, ...tellToken(token) })
    },
  )

  app.get(
    '/v1/tokens',
    {
      config,
      schema: {
        operationId: 'listTokens',
        tags,
        summary: 'All tokens, without their secrets',
        response: answers({ 200: TokenList }, 401, 403),
      },
    },
    async (request) => {
      const { scope } = principalOf(request)
      const tokens = await ledger.listTokens()
      return { items: tokens.filter((token) => scopeWithin(token.scope, scope)).map(tellToken) }
    },
  )

  app.delete(
    '/v1/tokens/:id',
    {
      config,
      schema: {
        operationId: 'revokeToken',
        tags,
        summary: 'Revoke a token, at once and for good',
        params: Type.Object({ id: Type.String() }),
        response: answers({ 204: Type.Null() }, 401, 403, 404),
      },
    },
    async (request, reply) => {
      const principal = principalOf(request)
      const known = (await ledger.listTokens()).find(({ id }) => id === request.params.id)
      if (known === undefined || !scopeWithin(known.scope, principal.scope)) throw notFound('token')
      await ledger.revokeToken(known.id, {
        action: 'token.revoke',
        ...actorOf(principal, request),
        outcome: 'ok',
        details: { name: known.name },
      })
      return reply.code(204).send(null)
    },
  )

  app.get(
    '/v1/whoami',
    {
      config: { access: 'any_token' },
      schema: {
        operationId: 'whoami',
        tags,
        summary: 'The token that this request was sent with',
        response: answers({ 200: Token }, 401),
      },
    },
    async (request) => {
      const { tokenId } = principalOf(request)
      const token = (await ledger.listTokens()).find(({ id }) => id === tokenId)
      if (token === undefined) throw notFound('token')
      return tellToken(token)
    },
  )
}

function parseExpiry(text: string | null | undefined): string | undefined {
  if (text === undefined || text === null) return undefined
  const time = RFC_3339.test(text) ? Date.parse(text.replace(' ', 'T').toUpperCase()) : NaN
  if (Number.isNaN(time) || !namesRealDay(text))
    throw invalidField('body.expires_at', 'must be an RFC 3339 time')
  if (time >= YEAR_10000) throw invalidField('body.expires_at', 'must lie before the year 10000')
  if (time <= Date.now()) throw invalidField('body.expires_at', 'must lie ahead')
  return new Date(time).toISOString()
}

const tellToken = ({
  id,
  name,
  role,
  scope,
  createdAt,
  createdBy,
  expiresAt,
  revokedAt,
}: TokenRow): object => ({
  id,
  name,
  role,
  scope,
  created_at: createdAt,
  created_by: createdBy ?? null,
  expires_at: expiresAt ?? null,
  revoked_at: revokedAt ?? null,
})
