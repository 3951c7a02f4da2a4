import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { RegistryError } from '../src/errors.ts'
import type { Migrated } from '../src/migrate/migrate.ts'
import type { Scanned } from '../src/migrate/scan.ts'
import { describeVersion } from '../src/registry/describe.ts'
import { resolveVersion } from '../src/registry/resolve.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { principalOf } from './authenticate.ts'
import { actorOf, pathOrDefault, revisionHeaders, VersionParams } from './checkpoint-params.ts'
import { asRegistryError } from './error-handler.ts'
import {
  AnyFile,
  bodyOf,
  enter,
  expectedOf,
  hungUp,
  metadataOf,
  MigrateQuery,
  type Query,
  requireMayPublish,
  requireRoom,
  requireSize,
  requireWhole,
  single,
  takeAnyBody,
  type Target,
  targetOf,
} from './intake.ts'
import { answers, Migration, Scan } from './schemas.ts'

/** Of the body: it and what is made of it, then that and the blob. */
const COPIES = 2
const MOST_NAMED = 10
const MOST_NAME_CHARACTERS = 200

export async function migrationRoutes(app: FastifyInstance, strongroom: Strongroom): Promise<void> {
  const { audit, config, ledger, metrics, uploads } = strongroom

  async function checkMigration(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const target = targetOf(request)
    try {
      await requireMayPublish(strongroom, target)
      pathOrDefault(single(request.query as Query, 'path'))
      requireWhole(request)
      expectedOf(request)
      await admit(request, reply, COPIES)
    } catch (error) {
      noteRefusal(target, asRegistryError(error))
      throw error
    }
  }

  async function admit(request: FastifyRequest, reply: FastifyReply, copies: number) {
    requireSize(strongroom, request)
    await requireRoom(strongroom, request, copies)
    enter(uploads, reply, 'uploads')
  }

  async function migrate(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const target = targetOf(request)
    const query = request.query as Query
    try {
      const migrated = await strongroom.migrate({
        ...target,
        path: pathOrDefault(single(query, 'path')),
        metadata: metadataOf(query),
        root: single(query, 'root'),
        expected: expectedOf(request),
        body: bodyOf(strongroom, request),
        signal: goneSignal(reply),
      })
      const resolved = await resolveVersion(ledger, target.checkpoint, target.version)
      metrics.migrations.inc({ outcome: migrated.outcome })
      const { owner, name, revision } = resolved.version
      noteMigration(target, migrated, revision)
      reply.headers(revisionHeaders(resolved))
      if (migrated.outcome === 'created') {
        const path = `/v1/checkpoints/${owner}/${name}/${encodeURIComponent(target.version)}`
        reply.code(201).header('location', `${config.PUBLIC_URL ?? ''}${path}`)
      }
      return { ...describeVersion(resolved), migration: migrationOf(migrated) }
    } catch (error) {
      if (!hungUp(request)) noteRefusal(target, asRegistryError(error))
      throw error
    }
  }

  function noteMigration(target: Target, { converted }: Migrated, revision: string): void {
    const { sourceSha256, format, root, tensors } = converted
    const details = { source_sha256: sourceSha256, format, root, tensors }
    audit.note({ ...noteOf(target), revision, outcome: 'ok', details })
  }

  function noteRefusal(target: Target, { code, facts }: RegistryError): void {
    metrics.migrations.inc({ outcome: 'refused' })
    const findings = Array.isArray(facts['findings']) ? (facts['findings'] as Findings) : []
    const details = { reason: facts['reason'], ...namesIn(findings) }
    audit.refused({ ...noteOf(target), outcome: code, details })
  }

  async function scan(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const note = { action: 'scan', ...actorOf(principalOf(request), request) } as const
    try {
      const scanned = await strongroom.scan(bodyOf(strongroom, request), goneSignal(reply))
      const { verdict, format = 'unknown', findings, notes, sha256 = null, sizeBytes } = scanned
      metrics.scans.inc({ verdict })
      const details = { sha256, format, size: sizeBytes, ...namesIn(findings) }
      audit.note({ ...note, outcome: verdict, details })
      return { format, verdict, findings, notes, sha256, size: sizeBytes }
    } catch (error) {
      if (!hungUp(request)) audit.refused({ ...note, outcome: asRegistryError(error).code })
      throw error
    }
  }

  await app.register((raw, _options, registered) => {
    takeAnyBody(raw)
    raw.post(
      '/v1/migrate/:owner/:name/:version',
      {
        config: { access: 'publish' },
        onRequest: checkMigration,
        schema: {
          operationId: 'migrateCheckpoint',
          tags: ['migration'],
          summary:
            'Publish the weights of a legacy checkpoint (.pt, .pth, .bin, .ckpt) as a version',
          description:
            'The body is the checkpoint; `Repr-Digest`, `Content-Digest` or `X-Checksum-Sha256` may say its hash. It is read in a process of its own without executing anything in it, written as safetensors, compared with that, admitted and published; the checkpoint itself is not kept. Its SHA-256 is in the metadata as `source_sha256`.',
          params: VersionParams,
          querystring: MigrateQuery,
          body: AnyFile,
          response: answers(
            {
              200: { ...Migration, description: 'Exactly this was published before' },
              201: { ...Migration, description: 'Published' },
            },
            ...[400, 401, 403, 404, 408, 409, 410, 413, 422, 429, 503, 507],
          ),
        },
      },
      migrate,
    )
    raw.post(
      '/v1/scan',
      {
        config: { access: 'publish' },
        onRequest: (request, reply) => admit(request, reply, 1),
        schema: {
          operationId: 'scanFile',
          tags: ['migration'],
          summary: 'Say what a file is, and what loading it would call',
          description:
            'The body is a file of any kind. Every pickle in it is read, those in archives and in one another too, and nothing of it is executed or kept.',
          body: AnyFile,
          response: answers({ 200: Scan }, 401, 403, 408, 413, 429, 503, 507),
        },
      },
      scan,
    )
    registered()
  })
}

type Findings = Scanned['findings']

const noteOf = ({ principal, address, checkpoint, version }: Target) => ({
  action: 'migrate' as const,
  actorId: principal.tokenId,
  actorName: principal.name,
  address,
  subject: `${checkpoint.owner}/${checkpoint.name}@${version}`,
})

/** What would have been called first, for the audit log. */
function namesIn(findings: Findings): { findings: number; calls: readonly string[] } {
  const called = findings.filter(({ invoked }) => invoked).slice(0, MOST_NAMED)
  return {
    findings: findings.length,
    calls: called.map(({ global }) => global.slice(0, MOST_NAME_CHARACTERS)),
  }
}

const migrationOf = ({ converted }: Migrated): Static<typeof Migration>['migration'] => ({
  source_sha256: converted.sourceSha256,
  format: converted.format,
  root: converted.root,
  tensors: converted.tensors,
  dropped: [...converted.dropped],
  dropped_total: converted.droppedCount,
  tied: converted.tied,
})

/** Aborted once nobody waits for the answer. */
function goneSignal({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController()
  raw.once('close', () => {
    gone.abort()
  })
  if (raw.destroyed) gone.abort()
  return gone.signal
}
