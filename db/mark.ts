import type { Database } from 'better-sqlite3'
import { closeSync, openSync, readSync } from 'node:fs'

/*
 * Four bytes in the file's header, SQLite's application_id, tell a ledger from any other database, and from its copies.
 *
 *   ledger  ──backup──▶  snapshot, only ever read  ──restore──▶  restored
 *      ▲                                                            │
 *      └────── the first start, once it has been through the vault ─┘
 */
const IDS = { ledger: 0x5374726d, snapshot: 0x53747273, restored: 0x53747272 } as const
export type Mark = keyof typeof IDS

const markWith = (id: unknown): Mark | undefined =>
  (['ledger', 'snapshot', 'restored'] as const).find((mark) => IDS[mark] === id)

/** Undefined for an empty file and for another program's database. */
export const markOf = (db: Database): Mark | undefined =>
  markWith(db.pragma('application_id', { simple: true }))

export function setMark(db: Database, mark: Mark): void {
  db.pragma(`application_id = ${IDS[mark]}`)
}

/** What the first bytes of a database say (SQLite, file format, section 1.3). */
export interface Header {
  readonly mark: Mark | undefined
  /** Its reader would need a log beside it, and room to write one. */
  readonly hasLog: boolean
}

const MAGIC = 'SQLite format 3\0'
const HEADER_BYTES = 100
/** Versions of the format needed to write and to read: 1 with a rollback journal, 2 with a write-ahead log. */
const VERSIONS = [18, 20] as const
const WITH_LOG = 2
const APPLICATION_ID = 68

/** Without opening the database, which may leave files beside it; undefined for what is none. */
export function headerOf(file: string): Header | undefined {
  const bytes = Buffer.alloc(HEADER_BYTES)
  const descriptor = openSync(file, 'r')
  try {
    readSync(descriptor, bytes, 0, HEADER_BYTES, 0)
  } finally {
    closeSync(descriptor)
  }
  if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) return undefined
  return {
    mark: markWith(bytes.readUInt32BE(APPLICATION_ID)),
    hasLog: bytes.subarray(...VERSIONS).includes(WITH_LOG),
  }
}
