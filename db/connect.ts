import Database from 'better-sqlite3'
import { chmodSync, closeSync, openSync } from 'node:fs'
import { LedgerRefused } from './ledger.ts'
import { markOf } from './mark.ts'

/** What the writer waits for another process (a backup, an audit) to let go of the database. */
const WRITER_BUSY_MS = 5000
/** Look-ups run on the main thread, which nothing may hold for longer. A log in WAL mode all but never blocks them. */
const READER_BUSY_MS = 50
/** Pages of 4 KiB: about 4 MB of log before they move into the database. */
const CHECKPOINT_PAGES = 1000
/** What a huge publication leaves of its log on the disk. */
const MAX_IDLE_LOG_BYTES = 64 << 20
/** So that the tensors of a huge publication, in any order, find their pages in memory. */
const WRITER_CACHE_KIB = 64 << 10

const MOUNT = 'check that the folder exists and that the server may write to it'

export const damaged = (file: string): string =>
  `${file} is damaged or is no ledger: restore the folder from a backup, or move it away to begin with an empty ledger`

/** A driver's error by its code, which is the only stable part of it; undefined for anything else. */
export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined

/** Says what to do about a file that can't be opened as a ledger; anything else comes back as it was. */
export function refusalOf(error: unknown, file: string): unknown {
  const code = codeOf(error) ?? ''
  const refused = (sentence: string) => new LedgerRefused(sentence, { cause: error })
  if (/^SQLITE_(NOTADB|CORRUPT)/.test(code)) return refused(damaged(file))
  if (/^(SQLITE_(READONLY|CANTOPEN|PERM|AUTH)|EACCES|EPERM|EROFS|ENOENT|ENOTDIR|EISDIR)/.test(code))
    return refused(`${file} can't be opened for writing: ${MOUNT}`)
  if (/^SQLITE_(BUSY|LOCKED)/.test(code))
    return refused(`${file} is in use by another program: end it and start again`)
  return error
}

/** Makes the file, if it isn't there, readable by its owner only; SQLite gives its log the same mode. */
export function createPrivate(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    // An existing file is never opened here: closing it would drop this process's own locks on it (POSIX).
    if (codeOf(error) !== 'EEXIST') throw error
    chmodSync(file, 0o600)
  }
}

/**
 * The one connection that writes. Committed means on the disk: FULL syncs the log at every commit.
 *
 * @throws LedgerRefused for a snapshot: an older ledger doesn't know the newer blobs of its vault, which would be swept
 */
export function connectWriter(file: string): Database.Database {
  const db = new Database(file, { timeout: WRITER_BUSY_MS })
  if (markOf(db) === 'snapshot') {
    db.close()
    throw new LedgerRefused(
      `${file} is a snapshot: serve it with STRONGROOM_READ_ONLY=1, or make a ledger of it with \`strongroom restore\``,
    )
  }
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.pragma('foreign_keys = ON')
  db.pragma('trusted_schema = OFF')
  db.pragma(`wal_autocheckpoint = ${CHECKPOINT_PAGES}`)
  db.pragma(`journal_size_limit = ${MAX_IDLE_LOG_BYTES}`)
  db.pragma(`cache_size = -${WRITER_CACHE_KIB}`)
  return db
}

/** Begins with the write lock, so that nothing read inside can change before it ends. */
export function transaction<A extends unknown[], R>(
  db: Database.Database,
  act: (...args: A) => R,
): (...args: A) => R {
  const run = db.transaction(act)
  return (...args) => run.immediate(...args)
}

/**
 * A connection for look-ups. Each ends before its result is returned, so that none leaves a read transaction open: the next look-up sees whatever was committed before it.
 */
export function connectReader(file: string, timeout = READER_BUSY_MS): Database.Database {
  const db = new Database(file, { readonly: true, fileMustExist: true, timeout })
  db.pragma('trusted_schema = OFF')
  return db
}
