import type { Ledger } from '../../db/ledger.ts'
import { RegistryError } from '../errors.ts'
import type { CheckpointName } from '../registry/names.ts'
import { knownRepo } from './known-repo.ts'
import { notFound, type ResolvedVersion, resolveVersion } from '../registry/resolve.ts'

/** Digits of a git commit, which clients recognize one by: the first of a revision stand for it. */
const COMMIT_DIGITS = 40

/** The commit of a repository in which nothing was committed. */
export const EMPTY_COMMIT = '0'.repeat(COMMIT_DIGITS)

/** What the Hub's clients call a version. */
export const commitOf = (revision: string): string => revision.slice(0, COMMIT_DIGITS)

const LATEST = 'latest'
/** What git calls the branch that there always is. */
const HEADS = new Set(['main', 'HEAD'])

/** Our ref of a revision as the Hub's clients write it; undefined for what can be none of ours. */
export function refOf(revision: string): string | undefined {
  const [, short = revision] = /^refs\/(?:heads|tags)\/(.+)$/s.exec(revision) ?? []
  if (HEADS.has(short)) return LATEST
  return short.includes('/') ? undefined : short
}

/**
 * Follows a revision of the Hub's. `empty` is the branch of a repository that has no version, or none any more.
 *
 * @throws {RegistryError} NOT_FOUND, WITHDRAWN, INTEGRITY_FAILURE.
 */
export async function resolveHub(
  ledger: Ledger,
  checkpoint: CheckpointName,
  revision: string,
): Promise<ResolvedVersion | 'empty'> {
  const ref = refOf(revision)
  try {
    if (ref !== undefined) return await resolveVersion(ledger, checkpoint, ref)
  } catch (error) {
    if (!isNotThere(error)) throw error
    const known = await knownRepo(ledger, checkpoint)
    const isNew = ref === LATEST || ref === EMPTY_COMMIT || known.newBranches.includes(ref ?? '')
    if (isNew && error.code === 'NOT_FOUND') return 'empty'
    throw error
  }
  await knownRepo(ledger, checkpoint)
  throw notFound('version')
}

const isNotThere = (error: unknown): error is RegistryError =>
  error instanceof RegistryError && (error.code === 'NOT_FOUND' || error.code === 'WITHDRAWN')
