import type { Ledger } from '../../db/ledger.ts'
import type { Vault } from '../vault/vault.ts'

/**
 * At start, nothing is in flight: what lies in staging was never finished, and a blob without a row was never
 * acknowledged. Both go. (Not to be run beside a live publish: a blob is sealed before it has its row.)
 */
export async function sweepAtStart(
  vault: Vault,
  ledger: Ledger,
): Promise<{ readonly staged: number; readonly blobs: number }> {
  const staged = await vault.sweepStaging()
  let blobs = 0
  for await (const id of vault.list()) {
    if (await ledger.hasVaultId(id)) continue
    await vault.remove(id)
    blobs += 1
  }
  return { staged, blobs }
}
