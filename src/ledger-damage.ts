import { LedgerDamaged } from '../db/ledger.ts'
import { RegistryError } from './errors.ts'

export const isLedgerDamaged = (error: unknown): error is LedgerDamaged =>
  error instanceof LedgerDamaged

/** Its own sentence names the row, for the log. Bytes are neither at fault nor quarantined. */
export const ledgerDamaged = (cause: LedgerDamaged): RegistryError =>
  new RegistryError(
    'INTEGRITY_FAILURE',
    'A row of the ledger is not as the ledger wrote it.',
    { path: cause.path, chunk: null },
    cause,
  )
