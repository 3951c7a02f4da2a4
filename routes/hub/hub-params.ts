import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { forbidden, requireScope } from '../../src/access/principal.ts'
import type { Config } from '../../src/config.ts'
import { invalidField, RegistryError } from '../../src/errors.ts'
import { judgeName } from '../../src/hub/refused-names.ts'
import { commitOf, EMPTY_COMMIT, resolveHub } from '../../src/hub/revision.ts'
import { type CheckpointName, parseCheckpointName } from '../../src/registry/names.ts'
import { rolesThatPublish } from '../../src/registry/publish.ts'
import { notFound, type ResolvedVersion } from '../../src/registry/resolve.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { principalOf } from '../authenticate.ts'
import { CheckpointParams, revisionHeaders } from '../checkpoint-params.ts'

export const RepoParams = CheckpointParams
export const RevParams = Type.Object({
  ...RepoParams.properties,
  rev: Type.String({
    description:
      '`main`, a tag, a version, or 12 and more digits of a revision, of which a commit has 40',
  }),
})

interface Repo {
  readonly owner: string
  readonly name: string
}

/** The repository of the URL, if it lies in the caller's scope: what can't be named so isn't there. */
export function readableRepo(request: FastifyRequest, { owner, name }: Repo): CheckpointName {
  const repo = nameOrMissing(owner, name)
  requireScope(principalOf(request), repo, 'read')
  return repo
}

/** The repository of the URL, which needn't exist. @throws {RegistryError} INVALID_NAME, FORBIDDEN */
export function writableRepo(request: FastifyRequest, { owner, name }: Repo): CheckpointName {
  const repo = parseCheckpointName(owner, name)
  const principal = principalOf(request)
  requireScope(principal, repo, 'write')
  if (!rolesThatPublish(repo.owner).includes(principal.role))
    throw forbidden('Only an admin publishes below this owner.')
  return repo
}

function nameOrMissing(owner: string, name: string): CheckpointName {
  try {
    return parseCheckpointName(owner, name)
  } catch (error) {
    if (error instanceof RegistryError && error.code === 'INVALID_NAME')
      throw notFound('checkpoint')
    throw error
  }
}

/**
 * Follows the revision of the URL, and says in the answer, whatever becomes of it, where that led. Files under names that
 * clients unpickle aren't among it: they are safetensors, as all weights are, but can be made to be a pickle at once.
 */
export async function followRev(
  { ledger }: Strongroom,
  request: FastifyRequest,
  reply: FastifyReply,
  params: Repo & { readonly rev: string },
): Promise<ResolvedVersion | 'empty'> {
  const resolved = await resolveHub(ledger, readableRepo(request, params), params.rev)
  reply.headers(
    resolved === 'empty'
      ? { 'x-repo-commit': EMPTY_COMMIT }
      : { ...revisionHeaders(resolved), 'x-repo-commit': commitOf(resolved.version.revision) },
  )
  if (resolved === 'empty') return resolved
  return { ...resolved, files: resolved.files.filter(({ path }) => judgeName(path) === undefined) }
}

/** @throws {RegistryError} INVALID_REQUEST where the client asks for its commit to be one. */
export function refusePullRequest({ query }: FastifyRequest): void {
  const { create_pr: asked } = query as Readonly<Record<string, unknown>>
  if (asked !== undefined && asked !== '0')
    throw invalidField('query.create_pr', 'is not known here', 'There are no pull requests.')
}

/** Where clients reach this server, as they wrote it themselves unless the server was told. */
export const endpointOf = (
  request: FastifyRequest,
  { PUBLIC_URL }: Pick<Config, 'PUBLIC_URL'>,
): string => PUBLIC_URL ?? `${request.protocol}://${request.host}`
