import type { Command } from 'commander'
import { realpath } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { readAuditKey } from '../access/audit-key.ts'
import { localErrorOf, misused } from '../client/local-failure.ts'
import { isWithin } from '../folders.ts'
import { abortOnSignal } from './abort-on-signal.ts'
import { addCopyOptions, configFor, type CopyOptions, tellCopy } from './ledger-copy.ts'
import type { Shell } from './shell.ts'

/** `strongroom backup FILE`. */
export function addBackup(program: Command, shell: Shell): void {
  const command = program
    .command('backup')
    .description('make a snapshot of the ledger, also while its server runs')
    .argument('<file>', 'where to; an older snapshot there is replaced')
  addCopyOptions(command).action(async (local: string, options: CopyOptions) => {
    const config = configFor(options, shell)
    const ledger = await realOr(config.LEDGER)
    const file = join(await realOr(dirname(resolve(local))), basename(resolve(local)))
    refuseWithin(file, 'ledger', ledger)
    refuseWithin(file, 'vault', await realpath(config.VAULT).catch(() => resolve(config.VAULT)))
    const auditKey = await readAuditKey(config.AUDIT_KEY_FILE, ledger)
    const order = { auditKey, signal: abortOnSignal() }
    // No other command needs SQLite.
    const { backupLedger } = await import('../../db/backup.ts')
    try {
      tellCopy(options, shell, local, await backupLedger(ledger, file, order))
    } catch (error) {
      throw localErrorOf(local, error)
    }
  })
}

/** @throws {LocalError} */
async function realOr(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    throw localErrorOf(path, error)
  }
}

/** In the ledger's folder a copy is lost with what it is to replace; in the vault it lays hashes beside their bytes. */
function refuseWithin(file: string, what: string, folder: string): void {
  if (isWithin(file, folder))
    throw misused(file, `it lies inside the ${what} (${folder}); a backup belongs somewhere else`)
}
