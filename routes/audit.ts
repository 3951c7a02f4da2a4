import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import type { AuditEntry } from '../db/ledger.ts'
import { forbidden } from '../src/access/principal.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { principalOf } from './authenticate.ts'
import { linkNext } from './paging.ts'
import { answers, AuditPage, AuditVerdict } from './schemas.ts'

export function auditRoutes(plain: FastifyInstance, { ledger, audit, config }: Strongroom): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>()
  const access = { access: 'audit' } as const
  const tags = ['audit']

  app.get(
    '/v1/audit',
    {
      config: access,
      schema: {
        operationId: 'readAudit',
        tags,
        summary: 'The audit log in the order of its entries, newest last',
        querystring: Type.Object({
          after: Type.Integer({ minimum: 0, default: 0, description: 'A sequence number' }),
          limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }),
          action: Type.Optional(Type.String()),
          subject: Type.Optional(Type.String()),
        }),
        response: answers({ 200: AuditPage }, 400, 401, 403),
      },
    },
    async (request, reply) => {
      requireWhole(request)
      // Whoever reads the log sees what happened up to now, counts of this minute included.
      await audit.flush()
      const { limit } = request.query
      const entries = await ledger.audit(request.query)
      const next = entries.length === limit ? (entries.at(-1)?.seq ?? null) : null
      linkNext(request, reply, config.PUBLIC_URL, 'after', next)
      return { items: entries.map(tellEntry), next }
    },
  )

  app.get(
    '/v1/audit/verify',
    {
      config: access,
      schema: {
        operationId: 'verifyAudit',
        tags,
        summary: 'Recompute the chain from its first entry to its head',
        response: answers({ 200: AuditVerdict }, 401, 403),
      },
    },
    async (request) => {
      requireWhole(request)
      await audit.flush()
      const { valid, entries, head, broken } = await ledger.verifyAudit()
      return {
        valid,
        entries,
        head: { seq: head.seq, hash: head.hash, mac: head.mac ?? null },
        broken: broken ?? null,
      }
    },
  )
}

/** The log speaks of everyone: a token that reaches only some checkpoints doesn't get it. */
function requireWhole(request: FastifyRequest): void {
  if (principalOf(request).scope !== '*')
    throw forbidden('The audit log needs a token whose scope is *.')
}

const tellEntry = (entry: AuditEntry): object => ({
  seq: entry.seq,
  at: entry.at,
  action: entry.action,
  who: entry.actorId === undefined ? null : { id: entry.actorId, name: entry.actorName ?? '' },
  address: entry.address ?? null,
  subject: entry.subject ?? null,
  revision: entry.revision ?? null,
  outcome: entry.outcome,
  details: entry.details ?? {},
  prev_hash: entry.prevHash,
  hash: entry.hash,
})
