import { existsSync, lstatSync } from 'node:fs'
import { join } from 'node:path'
import { copyLedger, type CopyOrder, type LedgerCopy } from './copy.ts'
import { LedgerRefused } from './ledger.ts'
import { headerOf } from './mark.ts'

type Order = Pick<CopyOrder, 'auditKey' | 'signal'>

/**
 * Makes a snapshot of the ledger in a folder, whether or not a server has it open, in place of an older one.
 *
 * @throws LedgerRefused when the folder has no sound ledger, or `file` is something else than a snapshot
 */
export async function backupLedger(
  folder: string,
  file: string,
  order: Order,
): Promise<LedgerCopy> {
  const from = join(folder, 'strongroom.db')
  if (!existsSync(from)) throw new LedgerRefused(`there is no ledger in ${folder}`)
  refuseToReplace(file)
  return copyLedger({ ...order, from, to: file, mark: 'snapshot' })
}

/** A slip of the finger must not cost a model, or another registry its ledger. */
function refuseToReplace(file: string): void {
  const there = lstatSync(file, { throwIfNoEntry: false })
  if (there === undefined || (there.isFile() && there.size === 0)) return
  if (there.isFile() && headerOf(file)?.mark === 'snapshot') return
  throw new LedgerRefused(`${file} is no snapshot: a backup takes the place of nothing else`)
}
