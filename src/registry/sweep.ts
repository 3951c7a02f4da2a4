import type { Ledger } from '../../db/ledger.ts'
import type { Vault } from '../vault/vault.ts'

/** What a start found in the vault that the ledger doesn't know. */
export interface Swept {
  readonly staged: number
  readonly blobs: number
  /** Blobs kept in the vault's quarantine, as a ledger that was restored can't tell what they are. */
  readonly quarantined: number
}

/**
 * At start, nothing is in flight: what lies in staging was never finished, and a blob without a row was never
 * acknowledged. Both go. (Not to be run beside a live publish: a blob is sealed before it has its row.) To a ledger that
 * was restored, such a blob may be one that the lost ledger acknowledged: it is moved out of the way, once.
 */
export async function sweepAtStart(vault: Vault, ledger: Ledger): Promise<Swept> {
  const staged = await vault.sweepStaging()
  const isRestored = await ledger.isRestored()
  let unknown = 0
  for await (const id of vault.list()) {
    if (await ledger.hasVaultId(id)) continue
    await (isRestored ? vault.quarantine(id) : vault.remove(id))
    unknown += 1
  }
  if (!isRestored) return { staged, blobs: unknown, quarantined: 0 }
  await vault.syncQuarantine()
  const details = { restored: true, quarantined: unknown }
  await ledger.settleRestored({ action: 'sweep', outcome: 'ok', details })
  return { staged, blobs: 0, quarantined: unknown }
}
