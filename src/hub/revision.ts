import type { Ledger } from '../../db/ledger.ts'
import { RegistryError } from '../errors.ts'
import type { CheckpointName } from '../registry/names.ts'
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
  const known = async (): Promise<boolean> =>
    (await ledger.checkpoint(checkpoint.owner, checkpoint.name)) !== undefined
  if (ref === undefined) throw notFound((await known()) ? 'version' : 'checkpoint')
  try {
    return await resolveVersion(ledger, checkpoint, ref)
  } catch (error) {
    if ((ref === LATEST || ref === EMPTY_COMMIT) && isMissingVersion(error)) return 'empty'
    throw error
  }
}

const isMissingVersion = (error: unknown): boolean =>
  error instanceof RegistryError && error.code === 'NOT_FOUND' && error.facts['what'] === 'version'
