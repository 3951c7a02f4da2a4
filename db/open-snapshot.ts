import type { Database } from 'better-sqlite3'
import { existsSync } from 'node:fs'
import { isHeadMac } from './audit-chain.ts'
import { readAudit } from './audit.ts'
import { codeOf, connectReader, refusalOf } from './connect.ts'
import { LedgerRefused } from './ledger.ts'
import { lookUpsOf, type LookUps } from './look-ups.ts'
import { headerOf } from './mark.ts'
import { refuseDamaged, schemaOf } from './migrate.ts'

/** A copy of a ledger that is only ever read, by any number of processes. */
export interface Snapshot extends LookUps {
  /** Rejects when it can't be read. */
  readonly ping: () => Promise<void>
  readonly close: () => void
}

const MAKE_ONE = 'make a snapshot of the ledger with `strongroom backup`'

/**
 * With its log folded in, a database needs nothing beside it: it is read from a folder that nobody can write, as with
 * SQLite's `immutable`, which this build doesn't take.
 *
 * @throws LedgerRefused unless the file is as `backup` left it; an error of the file system when it can't be read
 */
export function refuseUnlessSnapshot(file: string): void {
  const header = headerOf(file)
  if (header === undefined) throw new LedgerRefused(`${file} is no ledger's snapshot: ${MAKE_ONE}`)
  if (header.mark !== 'snapshot' || header.hasLog)
    throw new LedgerRefused(`${file} is a database for a server that writes: ${MAKE_ONE}`)
  for (const suffix of ['-wal', '-journal'])
    if (existsSync(file + suffix))
      throw new LedgerRefused(
        `${file}${suffix} belongs to another database than the snapshot beside it: remove it, or ${MAKE_ONE}`,
      )
}

/**
 * Opens a snapshot without writing a byte anywhere: no lock, no log, no thread.
 *
 * @throws LedgerRefused when it is none, is damaged or another release's, or when the audit key doesn't fit
 */
export function openSnapshot(file: string, auditKey: Uint8Array | undefined): Snapshot {
  let db: Database | undefined
  try {
    refuseUnlessSnapshot(file)
    db = connectReader(file)
    refuseDamaged(db)
    refuseOlder(db)
    if (auditKey !== undefined) refuseUnauthenticated(db, auditKey)
    return snapshotOf(db, auditKey)
  } catch (error) {
    db?.close()
    throw refusalToRead(error, file)
  }
}

function snapshotOf(db: Database, key: Uint8Array | undefined): Snapshot {
  const lookUps = lookUpsOf(db, key)
  return {
    ...lookUps,
    ping: async () => {
      await lookUps.auditHead()
    },
    close: () => {
      db.close()
    },
  }
}

function refuseOlder(db: Database): void {
  const { version, newest } = schemaOf(db)
  if (version < newest)
    throw new LedgerRefused(
      `${db.name} was written by an older Strongroom (schema ${version}, this one reads ${newest}) and is never changed: ` +
        'start this release on the ledger itself, then make a new snapshot with `strongroom backup`',
    )
}

/** A snapshot's head can't be authenticated afterwards: with a key, one that isn't is as good as altered. */
function refuseUnauthenticated(db: Database, key: Uint8Array): void {
  const head = readAudit(db).head()
  if (head?.mac !== undefined && isHeadMac(key, head.seq, head.hash, head.mac)) return
  throw new LedgerRefused(
    `the audit log in ${db.name} was changed, or was not authenticated with the key that is configured: ` +
      "give this server the key file of the ledger's own server, and make a new snapshot",
  )
}

function refusalToRead(error: unknown, file: string): unknown {
  const code = codeOf(error) ?? ''
  if (!/^(SQLITE_(CANTOPEN|PERM|AUTH|READONLY)|EACCES|EPERM|ENOENT|ENOTDIR|EISDIR)/.test(code))
    return refusalOf(error, file)
  const sentence = `${file} can't be read: check that it exists and that the server may read it, or ${MAKE_ONE}`
  return new LedgerRefused(sentence, { cause: error })
}
