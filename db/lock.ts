import Database from 'better-sqlite3'
import { codeOf, createPrivate, refusalOf } from './connect.ts'
import { LedgerRefused } from './ledger.ts'

/** Two that start at once meet for a moment; whoever holds the lock for longer runs. */
const MEETING_MS = 200

/**
 * Holds an exclusive lock on a database that nobody reads, for as long as the process lives: the kernel
 * drops it with the process, however that ends. It is not taken on the ledger itself, which a backup and an audit may read.
 *
 * @returns what lets go of it
 * @throws LedgerRefused when another holds it
 */
export function lockFor(what: 'ledger' | 'vault', file: string): () => void {
  let db: Database.Database | undefined
  try {
    createPrivate(file)
    db = new Database(file, { timeout: MEETING_MS })
    // Nothing is ever written, so nothing needs a journal, nor room for one on a full disk.
    db.pragma('journal_mode = MEMORY')
    db.pragma('locking_mode = EXCLUSIVE')
    db.exec('BEGIN EXCLUSIVE')
    const held = db
    return () => {
      held.close()
    }
  } catch (error) {
    db?.close()
    if (codeOf(error)?.startsWith('SQLITE_BUSY') !== true) throw refusalOf(error, file)
    const sentence = `another server has this ${what} open (${file}): end that one, or give this one a ${what} of its own`
    throw new LedgerRefused(sentence, { cause: error })
  }
}
