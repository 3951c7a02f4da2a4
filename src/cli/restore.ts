import type { Command } from 'commander'
import { resolve } from 'node:path'
import { readAuditKey } from '../access/audit-key.ts'
import { localErrorOf } from '../client/local-failure.ts'
import { prepareFolder } from '../folders.ts'
import { abortOnSignal } from './abort-on-signal.ts'
import { addCopyOptions, configFor, type CopyOptions, tellCopy } from './ledger-copy.ts'
import type { Shell } from './shell.ts'

/** `strongroom restore FILE`. */
export function addRestore(program: Command, shell: Shell): void {
  const command = program
    .command('restore')
    .description('make a snapshot the ledger of a folder that has none')
    .argument('<file>', 'made by `strongroom backup`')
  addCopyOptions(command).action(async (local: string, options: CopyOptions) => {
    const { LEDGER, AUDIT_KEY_FILE } = configFor(options, shell)
    const folder = await prepareFolder('ledger', LEDGER).catch((error: unknown) => {
      throw localErrorOf(LEDGER, error)
    })
    const auditKey = await readAuditKey(AUDIT_KEY_FILE, folder)
    const order = { auditKey, signal: abortOnSignal() }
    // No other command needs SQLite.
    const { restoreLedger } = await import('../../db/restore.ts')
    try {
      tellCopy(options, shell, LEDGER, await restoreLedger(resolve(local), folder, order))
    } catch (error) {
      throw localErrorOf(local, error)
    }
    if (options.json !== true)
      shell.note("the first start moves blobs that this ledger doesn't know to the quarantine")
  })
}
