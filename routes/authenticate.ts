import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { authenticate, type Principal, requireRole } from '../src/access/principal.ts'
import type { Action } from '../src/access/roles.ts'
import type { Strangers } from '../src/access/strangers.ts'
import { RegistryError } from '../src/errors.ts'
import { notFound } from '../src/registry/resolve.ts'
import type { Strongroom } from '../src/strongroom.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the caller's role must reach; `open` asks for no token. */
    access?: Action | 'any_token' | 'open'
  }
  interface FastifyRequest {
    principal: Principal | undefined
  }
}

type Params = Record<'owner' | 'name' | 'version' | 'ref' | 'rev', string>

/** Of an entry, in characters: the longest that names can make it; those of a request may not have been judged. */
export const MAX_SUBJECT = 96 + 1 + 96 + 1 + 128

const ADDRESSES_KEPT = 10_000
/** Of IPv6: one subscriber has a /64 of addresses, which count as one. */
const SUBSCRIBER_BITS = 64

/** Who calls, known on every route that isn't open. */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === undefined) throw new Error('an open route asked who calls')
  return request.principal
}

/**
 * Every route says in its `config.access` what it asks of the caller; one that says nothing is refused to
 * everyone. Runs before any byte of a body is read.
 */
export async function authenticateAll(
  app: FastifyInstance,
  { ledger, config, metrics, audit }: Strongroom,
  strangers: Strangers,
): Promise<void> {
  await app.register(rateLimit, { global: false, cache: ADDRESSES_KEPT })
  const countFailure = app.createRateLimit({
    max: config.AUTH_FAILURES_PER_MINUTE,
    timeWindow: 60_000,
    ipv6Subnet: SUBSCRIBER_BITS,
  })

  app.decorateRequest('principal', undefined)
  app.addHook('onRequest', async (request) => {
    checkHost(request)
    if (request.is404) {
      strangers.count(request.ip)
      // Here rather than in its handler, which would have taken the body in first.
      throw notFound('route')
    }
    const { access } = request.routeOptions.config
    if (access === 'open') return
    if (access === undefined)
      throw new Error(`${request.routeOptions.url ?? ''} doesn't say who may call it`)
    checkSingle(request, 'authorization')
    const found = await authenticate(ledger, request.headers.authorization)
    if (found.kind === 'known') {
      request.principal = found.principal
      if (access !== 'any_token') checkRole(request, found.principal, access)
      return
    }
    strangers.count(request.ip)
    metrics.authenticationFailures.inc({ kind: found.kind })
    if (found.kind === 'none') throw unauthenticated('none_sent')
    // Only a bad token counts against its address, and a good one is never asked: nobody can lock it out.
    const limit = await countFailure(request)
    if (!limit.isAllowed && limit.isExceeded) {
      throw new RegistryError('TOO_MANY_REQUESTS', 'Too many bad tokens from this address.', {
        retry_after: limit.ttlInSeconds,
      })
    }
    throw unauthenticated('invalid_token')
  })

  function checkRole(request: FastifyRequest, principal: Principal, access: Action): void {
    try {
      requireRole(principal, access)
    } catch (error) {
      const { method, routeOptions, ip: address } = request
      const { owner, name, version, rev, ref = version ?? rev } = request.params as Partial<Params>
      const subject = owner === undefined ? undefined : `${owner}/${name ?? ''}@${ref ?? ''}`
      audit.refused({
        action: 'refuse',
        actorId: principal.tokenId,
        actorName: principal.name,
        address,
        subject: subject?.slice(0, MAX_SUBJECT),
        outcome: 'FORBIDDEN',
        details: { method, route: routeOptions.url },
      })
      throw error
    }
  }
}

const unauthenticated = (challenge: 'none_sent' | 'invalid_token'): RegistryError =>
  new RegistryError(
    'UNAUTHENTICATED',
    challenge === 'none_sent' ? 'This needs a token.' : 'The token is not valid.',
    { challenge },
  )

/** Node keeps the first of two such headers in silence; which one a proxy kept is anyone's guess. */
function checkSingle({ raw }: FastifyRequest, header: 'authorization' | 'host'): void {
  const names = raw.rawHeaders.filter((_, i) => i % 2 === 0)
  if (names.filter((name) => name.toLowerCase() === header).length > 1)
    throw invalidHeader(header, 'must be sent once')
}

/** RFC 9112 §3.2. Node would answer a missing one by itself, with nothing but a status. */
function checkHost(request: FastifyRequest): void {
  const { headers, httpVersion } = request.raw
  if (headers.host === undefined && httpVersion === '1.1')
    throw invalidHeader('host', 'must be sent')
  checkSingle(request, 'host')
}

const invalidHeader = (header: string, detail: string): RegistryError =>
  new RegistryError('INVALID_REQUEST', 'A header of the request is not valid.', {
    errors: [{ field: `headers.${header}`, detail }],
  })
