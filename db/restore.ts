import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { copyLedger, type CopyOrder, type LedgerCopy } from './copy.ts'
import { LedgerRefused } from './ledger.ts'
import { lockFor } from './lock.ts'
import { refuseUnlessSnapshot } from './open-snapshot.ts'

type Order = Pick<CopyOrder, 'auditKey' | 'signal'>

/** A log without its ledger would be read into the one that takes its place. */
const IN_THE_WAY = ['', '-wal', '-shm', '-journal']

/**
 * Makes a snapshot the ledger of a folder that has none. It knows nothing of what its vault was given since: the first
 * server that opens it sets those bytes aside instead of sweeping them.
 *
 * @throws LedgerRefused when the folder has a ledger, a server has it open, or `file` is no sound snapshot
 */
export async function restoreLedger(
  file: string,
  folder: string,
  order: Order,
): Promise<LedgerCopy> {
  const to = join(folder, 'strongroom.db')
  const unlock = lockFor('ledger', join(folder, 'lock.db'))
  try {
    for (const suffix of IN_THE_WAY)
      if (existsSync(to + suffix))
        throw new LedgerRefused(
          `${to}${suffix} is there already: move the old ledger's files away, and then restore`,
        )
    refuseUnlessSnapshot(file)
    return await copyLedger({ ...order, from: file, to, mark: 'restored' })
  } finally {
    unlock()
  }
}
