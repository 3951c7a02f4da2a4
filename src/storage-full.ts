import { LedgerFull } from '../db/ledger.ts'
import { VaultFull } from './vault/vault.ts'

/** Whether it failed because the disk under the ledger or the vault is full: nothing of it was kept. */
export const isStorageFull = (error: unknown): boolean =>
  error instanceof LedgerFull || error instanceof VaultFull
