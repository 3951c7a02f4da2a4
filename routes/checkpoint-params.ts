import type { FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { type Principal, requireScope } from '../src/access/principal.ts'
import {
  type CheckpointName,
  DEFAULT_PATH,
  type FilePath,
  parseCheckpointName,
  parseFilePath,
} from '../src/registry/names.ts'
import { type ResolvedVersion, resolveVersion } from '../src/registry/resolve.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { principalOf } from './authenticate.ts'

// Names are judged by their own parsers, with their own errors: the schemas only say that they are there.
export const CheckpointParams = Type.Object({
  owner: Type.String({ description: 'First half of the checkpoint’s name' }),
  name: Type.String({ description: 'Second half of the checkpoint’s name' }),
})
export const VersionParams = Type.Object({
  ...CheckpointParams.properties,
  version: Type.String({ description: 'The version to publish' }),
})
export const RefParams = Type.Object({
  ...CheckpointParams.properties,
  ref: Type.String({
    description: 'A revision, a version, a tag, or 12 and more digits of a revision',
  }),
})

/** The checkpoint of the URL, if it lies in the caller's scope. */
export function readableCheckpoint(
  request: FastifyRequest,
  params: { owner: string; name: string },
): CheckpointName {
  const checkpoint = parseCheckpointName(params.owner, params.name)
  requireScope(principalOf(request), checkpoint, 'read')
  return checkpoint
}

/** Follows the ref of the URL for a caller in whose scope it lies. */
export async function resolveFor(
  { ledger }: Strongroom,
  request: FastifyRequest,
  params: { owner: string; name: string; ref: string },
): Promise<ResolvedVersion> {
  return resolveVersion(ledger, readableCheckpoint(request, params), params.ref)
}

/** What every answer that came through a ref carries. */
export const revisionHeaders = ({ version }: ResolvedVersion): Record<string, string> => ({
  'x-checkpoint-revision': version.revision,
  'x-checkpoint-version': version.version,
})

export const subjectOf = ({ version }: ResolvedVersion): string =>
  `${version.owner}/${version.name}@${version.version}`

export const pathOrDefault = (path: string | undefined): FilePath =>
  path === undefined ? DEFAULT_PATH : parseFilePath(path)

/** Who did it and from where, as audit entries say it. */
export const actorOf = (
  { tokenId, name }: Principal,
  request: FastifyRequest,
): { actorId: string; actorName: string; address: string } => ({
  actorId: tokenId,
  actorName: name,
  address: request.ip,
})
