import { dirname } from 'node:path'
import type { Logger } from 'pino'
import { openSnapshot } from '../db/open-snapshot.ts'
import { readAuditKey } from './access/audit-key.ts'
import type { Config } from './config.ts'
import { findFolders, FoldersRefused } from './folders.ts'
import { readOnlyLedger } from './read-only-ledger.ts'
import type { Stores } from './stores.ts'
import { openVaultToRead } from './vault/local.ts'

/**
 * Opens a snapshot of a ledger and the vault that it belongs to, writing to neither, beside any number of others that
 * do the same, and beside the server that writes.
 *
 * @throws {ConfigError} {FoldersRefused} {LedgerRefused} with a message that says what to do.
 */
export async function openStoresToRead(config: Config, log: Logger): Promise<Stores> {
  const folders = await findFolders(config.VAULT, config.LEDGER)
  const auditKey = await readAuditKey(config.AUDIT_KEY_FILE, dirname(folders.snapshot))
  const snapshot = openSnapshot(folders.snapshot, auditKey)
  const ledger = readOnlyLedger(snapshot, log)
  try {
    const vault = openVaultToRead(folders.vault)
    const identity = await ledger.vaultIdentity()
    if (identity === undefined || identity !== (await vault.identity()))
      throw new FoldersRefused(
        'this snapshot belongs to another vault; give the two that belong together',
      )
    const head = await ledger.auditHead()
    if (auditKey === undefined && head.mac !== undefined)
      log.warn(
        'the head of the audit log is authenticated with a key that is not configured here: not checked',
      )
    await ledger.appendAudit([
      { action: 'server.start', outcome: 'ok', details: { read_only: true, audit_head: head } },
    ])
    return { ledger, vault, close: () => ledger.close() }
  } catch (error) {
    await ledger.close()
    throw error
  }
}
