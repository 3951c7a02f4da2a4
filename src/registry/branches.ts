import type { BranchOutcome } from '../../db/changes.ts'
import type { Ledger } from '../../db/ledger.ts'
import { RegistryError } from '../errors.ts'
import { changeOf, tagRefusal, type TagRequest } from './tags.ts'

/**
 * Begins a branch of a checkpoint in which there is nothing yet.
 *
 * @throws {RegistryError} as moveTag does; TAG_MOVED where there is one of that name.
 */
export async function startBranch(ledger: Ledger, request: TagRequest): Promise<void> {
  requireDone(await ledger.startBranch(changeOf(request)))
}

/** Ends a branch to which nothing was committed. @throws {RegistryError} as deleteTag does. */
export async function dropBranch(ledger: Ledger, request: TagRequest): Promise<void> {
  requireDone(await ledger.dropBranch(changeOf(request)))
}

function requireDone(outcome: BranchOutcome): void {
  switch (outcome.outcome) {
    case 'started':
    case 'dropped':
      return
    case 'too_many':
      throw new RegistryError('TOO_LARGE', 'There are too many branches without a commit.')
    default:
      throw tagRefusal(outcome)
  }
}
