import type { WithdrawRefusal } from '../../db/changes.ts'
import type { Ledger } from '../../db/ledger.ts'
import { denied, type Principal } from '../access/principal.ts'
import type { RegistryError } from '../errors.ts'
import type { CheckpointName } from './names.ts'
import { notFound, type ResolvedVersion } from './resolve.ts'

export interface WithdrawRequest {
  readonly principal: Principal
  readonly address: string
  readonly checkpoint: CheckpointName
  /** The version's own name, as the caller gives it. */
  readonly version: string
  readonly reason: string
}

/**
 * From now on the version is served to nobody who asks for it; a read under way ends as it would have. What was
 * withdrawn before stays as it is, its reason too.
 *
 * @throws {RegistryError} NOT_FOUND, FORBIDDEN, UNAUTHENTICATED.
 */
export async function withdraw(
  ledger: Ledger,
  { principal, address, checkpoint, version, reason }: WithdrawRequest,
): Promise<ResolvedVersion> {
  const { owner, name } = checkpoint
  const { tokenId } = principal
  const asked = { tokenId, roles: ['admin'], address, owner, name, version, reason } as const
  const { outcome } = await ledger.withdraw(asked)
  if (outcome !== 'withdrawn' && outcome !== 'withdrawn_before') throw asError(outcome)
  const found = await ledger.resolve(owner, name, version)
  if (found === undefined) throw notFound('version')
  return { ...found, files: await ledger.filesOf(found.version.id) }
}

function asError(refusal: WithdrawRefusal): RegistryError {
  switch (refusal) {
    case 'checkpoint_missing':
      return notFound('checkpoint')
    case 'version_missing':
      return notFound('version')
    case 'unauthenticated':
    case 'forbidden':
      return denied(refusal, 'This token may not withdraw this version.')
  }
}
