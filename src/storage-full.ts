import { LedgerFull } from '../db/ledger.ts'
import { RegistryError } from './errors.ts'
import { VaultFull } from './vault/vault.ts'

/** Whether it failed because the disk under the ledger or the vault is full: nothing of it was kept. */
export const isStorageFull = (error: unknown): boolean =>
  error instanceof LedgerFull || error instanceof VaultFull

export const storageFull = (cause: unknown): RegistryError =>
  new RegistryError('INSUFFICIENT_STORAGE', 'The disk is full; nothing was kept.', {}, cause)
