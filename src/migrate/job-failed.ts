import { RegistryError } from '../errors.ts'
import type { Outcome } from '../pickle/job/run-job.ts'
import { VaultFull } from '../vault/vault.ts'

/** A process that read a file ended without an answer, and not for what the file is. */
class JobFailed extends Error {
  override readonly name = 'JobFailed'
}

/** What to throw for it. */
export function failureOf(outcome: Outcome): Error {
  const failed = new JobFailed(outcome.kind === 'failed' ? outcome.message : outcome.kind)
  if (outcome.kind === 'stopped' && outcome.why === 'killed') {
    const sentence = 'The process that read the file was killed, as a system short of memory does; try again.' // prettier-ignore
    return new RegistryError('NOT_READY', sentence, { retry_after: 10 }, failed)
  }
  const isFull = outcome.kind === 'failed' && ['ENOSPC', 'EDQUOT'].includes(outcome.code ?? '')
  return isFull ? new VaultFull('the vault is full', { cause: failed }) : failed
}
