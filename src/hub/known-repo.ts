import type { CheckpointOverview, Ledger } from '../../db/ledger.ts'
import type { CheckpointName } from '../registry/names.ts'
import { notFound } from '../registry/resolve.ts'

/** @throws {RegistryError} NOT_FOUND, also where it was deleted. */
export async function knownRepo(
  ledger: Ledger,
  { owner, name }: CheckpointName,
): Promise<CheckpointOverview> {
  const known = await ledger.checkpoint(owner, name)
  if (known === undefined || known.isDeleted) throw notFound('checkpoint')
  return known
}
