import Database from 'better-sqlite3'
import { statSync } from 'node:fs'
import { readAudit } from './audit.ts'
import { codeOf, connectReader, damaged, refusalOf } from './connect.ts'
import { type AuditHead, LedgerFull, LedgerRefused } from './ledger.ts'
import { type Mark, markOf, setMark } from './mark.ts'
import { refuseDamaged, schemaOf } from './migrate.ts'
import { replaceFile } from './replace-file.ts'
import { verifyAudit } from './verify-audit.ts'

/** A copy of a ledger, as it was found to be. */
export interface LedgerCopy {
  readonly sizeBytes: number
  readonly versions: number
  readonly head: AuditHead
}

export interface CopyOrder {
  readonly from: string
  readonly to: string
  /** What the copy is. */
  readonly mark: Mark
  readonly auditKey: Uint8Array | undefined
  /** Gives up, and leaves nothing behind. */
  readonly signal: AbortSignal
}

const BUSY_MS = 5000
const PAGES_PER_STEP = 10_000

/**
 * Copies a ledger while its server goes on, proves the copy, and puts it in place all at once. The copy needs no file
 * beside it, and is the ledger of one moment: that of the call.
 *
 * @throws LedgerRefused when it is none, is damaged, a newer release's, or its audit log doesn't verify; LedgerFull
 */
export async function copyLedger(order: CopyOrder): Promise<LedgerCopy> {
  let source: Database.Database | undefined
  try {
    const ledger = (source = connectReader(order.from, BUSY_MS))
    if (markOf(ledger) === undefined) throw new LedgerRefused(damaged(order.from))
    schemaOf(ledger)
    return await replaceFile(order.to, async (temporary) => {
      await copyPages(ledger, temporary, order.signal)
      return prove(temporary, order)
    })
  } catch (error) {
    throw failureOf(error, order)
  } finally {
    source?.close()
  }
}

/** What SQLite says of a full disk is of the copy, which alone is written; all else that it says is of the ledger. */
function failureOf(error: unknown, { from, to }: CopyOrder): unknown {
  const code = codeOf(error) ?? ''
  if (code === 'SQLITE_FULL')
    return new LedgerFull(`the disk is too full for ${to}`, { cause: error })
  return code.startsWith('SQLITE_') ? refusalOf(error, from) : error
}

async function copyPages(
  source: Database.Database,
  temporary: string,
  signal: AbortSignal,
): Promise<void> {
  // Held from the first page to the last: otherwise each commit in between starts the copy anew, for ever.
  source.exec('BEGIN')
  try {
    source.prepare('SELECT 1 FROM sqlite_schema LIMIT 1').get()
    await source.backup(temporary, {
      progress: () => {
        signal.throwIfAborted()
        return PAGES_PER_STEP
      },
    })
  } finally {
    source.exec('ROLLBACK')
  }
}

async function prove(
  temporary: string,
  { from, mark, auditKey, signal }: CopyOrder,
): Promise<LedgerCopy> {
  const db = new Database(temporary)
  try {
    db.pragma('trusted_schema = OFF')
    db.pragma('journal_mode = DELETE')
    refuseDamaged(db, from)
    const { valid, head, broken } = await verifyAudit(readAudit(db), auditKey)
    if (!valid)
      throw new LedgerRefused(
        `the audit log of ${from} does not verify from entry ${broken?.seq ?? 0} on: ${broken?.why ?? ''}`,
      )
    const versions = db.prepare<[], number>('SELECT count(*) FROM versions').pluck().get() ?? 0
    setMark(db, mark)
    signal.throwIfAborted()
    return { sizeBytes: statSync(temporary).size, versions, head }
  } finally {
    db.close()
  }
}
