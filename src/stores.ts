import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type { Logger } from 'pino'
import type { Ledger } from '../db/ledger.ts'
import { lockFor } from '../db/lock.ts'
import { openLedger } from '../db/open.ts'
import { readAuditKey } from './access/audit-key.ts'
import { type Announce, ensureFirstAdmin } from './access/first-admin.ts'
import type { Config } from './config.ts'
import { FoldersRefused, prepareFolders } from './folders.ts'
import { sweepAtStart } from './registry/sweep.ts'
import { openLocalVault } from './vault/local.ts'
import type { Vault } from './vault/vault.ts'

/** What a server works on, open, and entered in the audit log as such. */
export interface Stores {
  readonly ledger: Ledger
  readonly vault: Vault
  readonly close: () => Promise<void>
}

/**
 * Opens ledger and vault for this server alone, and reconciles them.
 *
 * @throws {ConfigError} {FoldersRefused} {LedgerRefused} with a message that says what to do.
 */
export async function openStores(config: Config, log: Logger, announce: Announce): Promise<Stores> {
  const folders = await prepareFolders(config.VAULT, config.LEDGER)
  const auditKey = await readAuditKey(config.AUDIT_KEY_FILE, folders.ledger)
  const ledger = await openLedger({ folder: folders.ledger, auditKey })
  let unlockVault = (): void => undefined
  const close = async (): Promise<void> => {
    await ledger.close()
    unlockVault()
  }
  try {
    const vault = await openLocalVault(folders.vault)
    // A copy of the ledger would sweep what the original publishes meanwhile.
    unlockVault = lockFor('vault', join(folders.vault, 'lock.db'))
    await bindVault(vault, ledger)
    const swept = await sweepAtStart(vault, ledger)
    if (swept.staged + swept.blobs > 0) log.info(swept, 'swept what an earlier run left unfinished')
    if (swept.quarantined > 0)
      log.warn(swept, 'moved blobs that the restored ledger does not know to the quarantine')
    await ensureFirstAdmin(ledger, folders.ledger, config.ADMIN_TOKEN, announce)
    await ledger.appendAudit([{ action: 'server.start', outcome: 'ok', details: { swept } }])
    return { ledger, vault, close }
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * A ledger belongs to one vault. With another, every blob would be without a row, and the sweep would remove
 * them all: so that is refused.
 */
async function bindVault(vault: Vault, ledger: Ledger): Promise<void> {
  const known = await ledger.vaultIdentity()
  const found = await vault.identity()
  if (known !== undefined && known === found) return
  if (known !== undefined) {
    throw new FoldersRefused(
      'this ledger belongs to another vault; give the two folders that belong together',
    )
  }
  const first = await vault.list()[Symbol.asyncIterator]().next()
  if (first.done !== true) {
    throw new FoldersRefused(
      'the vault holds blobs that this new ledger knows nothing of; give it its own ledger, or an empty vault',
    )
  }
  // A name of its own, even where an earlier ledger named the vault: that one would sweep this one's blobs.
  const identity = randomUUID()
  await vault.identify(identity)
  await ledger.bindVault(identity)
}
