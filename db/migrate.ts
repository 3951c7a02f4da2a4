import type { Database } from 'better-sqlite3'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { damaged } from './connect.ts'
import { LedgerRefused } from './ledger.ts'
import { markOf, setMark } from './mark.ts'
import { addRowDigest } from './row-digest.ts'

const FOLDER = join(import.meta.dirname, '..', 'migrations')

/** The steps in order: step n takes a ledger from `user_version` n to n + 1. */
function readSteps(folder: string): readonly string[] {
  const files = readdirSync(folder).filter((file) => /^\d{4}-.*\.sql$/.test(file))
  return files.sort().map((file, index) => {
    if (Number(file.slice(0, 4)) !== index + 1)
      throw new Error(`migrations are not numbered one by one: ${file}`)
    return readFileSync(join(folder, file), 'utf8')
  })
}

/** Every page is read, about two seconds a gigabyte: damage is found now, not in the middle of a request. */
export function refuseDamaged(db: Database, file = db.name): void {
  const found = db.pragma('quick_check(1)', { simple: true })
  if (found !== 'ok') throw new LedgerRefused(damaged(file), { cause: found })
}

const numberOf = (value: unknown): number => (typeof value === 'number' ? value : 0)

function refuseForeign(db: Database): void {
  if (markOf(db) !== undefined) return
  const id = numberOf(db.pragma('application_id', { simple: true }))
  const anything = db.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get()
  if (id !== 0 || anything !== undefined)
    throw new LedgerRefused(`${db.name} is another program's database: choose another folder`)
}

/** How far the ledger's schema is, and how far this release takes one. @throws LedgerRefused when a newer release wrote it */
export function schemaOf(db: Database): { readonly version: number; readonly newest: number } {
  const newest = readSteps(FOLDER).length
  const version = numberOf(db.pragma('user_version', { simple: true }))
  if (version > newest)
    throw new LedgerRefused(
      `${db.name} was written by a newer Strongroom (schema ${version}, this one knows ${newest}): ` +
        'run that release or a later one, or restore a backup made before the upgrade',
    )
  return { version, newest }
}

/**
 * Brings the ledger to the newest schema, forward only, each step in a transaction of its own. An empty file
 * becomes a ledger.
 *
 * @throws LedgerRefused when the file is damaged, another program's, or a newer Strongroom's
 */
export function migrate(db: Database): void {
  refuseDamaged(db)
  refuseForeign(db)
  const { version } = schemaOf(db)
  const take = db.transaction((sql: string, reached: number) => {
    db.exec(sql)
    if (db.prepare('PRAGMA foreign_key_check').get() !== undefined)
      throw new LedgerRefused(damaged(db.name))
    if (markOf(db) === undefined) setMark(db, 'ledger')
    db.pragma(`user_version = ${reached}`)
  })
  addRowDigest(db)
  // Or a step that makes a table anew would take the rows that refer to it along (SQLite: ALTER TABLE, section 7).
  db.pragma('foreign_keys = OFF')
  for (const [index, sql] of readSteps(FOLDER).entries())
    if (index >= version) take.immediate(sql, index + 1)
  db.pragma('foreign_keys = ON')
}
