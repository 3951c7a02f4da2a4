import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { forbidden, type Principal, requireScope } from '../src/access/principal.ts'
import { invalidField, RegistryError } from '../src/errors.ts'
import type { Gate } from '../src/gate.ts'
import { expectedSha256 } from '../src/http/digest-header.ts'
import { paced } from '../src/http/pace.ts'
import {
  type CheckpointName,
  parseCheckpointName,
  parseVersionName,
  type VersionName,
} from '../src/registry/names.ts'
import { rolesThatPublish } from '../src/registry/publish.ts'
import type { Metadata } from '../src/registry/version-metadata.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { principalOf } from './authenticate.ts'
import type { VersionParams } from './checkpoint-params.ts'

// What is common to all that takes a file in as the body of a request: a publish, a migration, a scan.

export type Query = Readonly<Record<string, string | string[] | undefined>>

const NewPath = Type.Optional(
  Type.String({ description: 'Path of the file inside the version', default: 'model.safetensors' }),
)
const WITH_METADATA = {
  additionalProperties: true,
  description: 'Any key that begins `meta.` adds metadata',
}
/** The query of what publishes one file. */
export const PublishQuery = Type.Object({ path: NewPath }, WITH_METADATA)
export const MigrateQuery = Type.Object(
  {
    path: NewPath,
    root: Type.Optional(
      Type.String({
        maxLength: 4096,
        description: 'Keys that lead to the weights, joined with dots; looked for if absent',
      }),
    ),
  },
  WITH_METADATA,
)
/** A file of any content type. */
export const AnyFile = { content: { 'application/octet-stream': { schema: {} } } }

/** Leaves the body to its handler. */
export function takeAnyBody(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, parsed) => {
    parsed(null)
  })
}

/** The version that a request would make. */
export interface Target {
  readonly principal: Principal
  readonly address: string
  readonly checkpoint: CheckpointName
  readonly version: VersionName
}

const META = 'meta.'
const RETRY_AFTER_SECONDS = 10

export function targetOf(request: FastifyRequest): Target {
  const { owner, name, version } = request.params as Static<typeof VersionParams>
  const principal = principalOf(request)
  const checkpoint = parseCheckpointName(owner, name)
  return { principal, address: request.ip, checkpoint, version: parseVersionName(version) }
}

/** @throws {RegistryError} FORBIDDEN or NOT_FOUND, or VERSION_EXISTS for the server's own tag. */
export async function requireMayPublish(
  { ledger }: Strongroom,
  { principal, checkpoint, version }: Target,
): Promise<void> {
  requireScope(principal, checkpoint, 'write')
  if (!rolesThatPublish(checkpoint.owner).includes(principal.role)) {
    throw forbidden('Only an admin publishes below this owner.')
  }
  if (version !== 'latest') return
  const tagged = await ledger.resolve(checkpoint.owner, checkpoint.name, version)
  throw new RegistryError('VERSION_EXISTS', 'That is the name of the server’s own tag.', {
    revision: tagged?.version.revision ?? null,
  })
}

/** @throws {RegistryError} INVALID_REQUEST for a part of a file. */
export function requireWhole({ headers }: FastifyRequest): void {
  if (headers['content-range'] !== undefined)
    throw invalidField('headers.content-range', 'a part of a file can’t be published')
}

/** @throws {RegistryError} TOO_LARGE, by what the caller announces of its one file. */
export function requireSize({ config }: Strongroom, request: FastifyRequest): void {
  const limit = config.MAX_FILE_BYTES
  if ((announcedBytes(request) ?? 0) > (limit ?? Infinity))
    throw new RegistryError('TOO_LARGE', 'The file is too large.', { limit })
}

/** @param times how often what is announced will lie on the disk. @throws {RegistryError} INSUFFICIENT_STORAGE */
export async function requireRoom(
  strongroom: Strongroom,
  request: FastifyRequest,
  times = 1,
): Promise<void> {
  if ((await strongroom.roomBytes()) <= (announcedBytes(request) ?? 0) * times)
    throw new RegistryError('INSUFFICIENT_STORAGE', 'There is no room for this.')
}

export function announcedBytes({ headers }: FastifyRequest): number | undefined {
  const { 'content-length': length } = headers
  return length === undefined ? undefined : Number(length)
}

/**
 * Takes a place for as long as the request is there.
 *
 * @param what are going on already, in the plural.
 * @returns what lets go of it earlier. @throws {RegistryError} TOO_MANY_REQUESTS
 */
export function enter(gate: Gate, reply: FastifyReply, what: string): () => void {
  const leave = gate.tryEnter()
  if (leave === undefined) {
    throw new RegistryError('TOO_MANY_REQUESTS', `As many ${what} as allowed are going on.`, {
      retry_after: RETRY_AFTER_SECONDS,
    })
  }
  // Whoever hangs up before its handler runs never gets to leave by itself.
  if (reply.raw.destroyed) leave()
  else reply.raw.once('close', leave)
  return leave
}

/** The body has a pace of its own, and once it is here the server works while nothing moves on the connection. */
export function tooLateToTime(request: FastifyRequest): void {
  request.raw.socket.setTimeout(0)
}

/** What arrives, counted, and ended where it comes too slowly. */
export async function* pacedBody(
  { config, metrics }: Strongroom,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const pace = { windowMs: config.STALL_TIMEOUT_MS, minBytesPerSecond: config.MIN_UPLOAD_RATE }
  for await (const chunk of paced(body, pace)) {
    metrics.receivedBytes.inc(chunk.length)
    yield chunk
  }
}

/** The request's own body, of whatever type. */
export function bodyOf(strongroom: Strongroom, request: FastifyRequest): AsyncIterable<Uint8Array> {
  tooLateToTime(request)
  return pacedBody(strongroom, request.raw.iterator({ destroyOnReturn: false }))
}

export function metadataOf(query: Query): Metadata {
  const metadata: Record<string, string> = Object.create(null) as Record<string, string>
  for (const [key, value] of Object.entries(query)) {
    if (!key.startsWith(META)) continue
    if (Array.isArray(value)) throw invalidField(`query.${key}`, 'must be given once')
    if (key === META) throw invalidField(`query.${key}`, 'must name a key')
    metadata[key.slice(META.length)] = value ?? ''
  }
  return metadata
}

/** One value of a query that may name many keys. @throws {RegistryError} INVALID_REQUEST */
export function single(query: Query, key: string): string | undefined {
  const value = query[key]
  if (Array.isArray(value)) throw invalidField(`query.${key}`, 'must be given once')
  return value
}

/** Whether the caller left before its body was here: there is nobody to answer. */
export const hungUp = ({ raw }: FastifyRequest): boolean => raw.destroyed && !raw.complete

/** What the caller's headers say of the body's digest. @throws {RegistryError} INVALID_REQUEST */
export function expectedOf({ headers }: FastifyRequest): ReturnType<typeof expectedSha256> {
  const one = (name: string): string | undefined => headers[name]?.toString()
  return expectedSha256({
    contentDigest: one('content-digest'),
    reprDigest: one('repr-digest'),
    xChecksumSha256: one('x-checksum-sha256'),
  })
}
