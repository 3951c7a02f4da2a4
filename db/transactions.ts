import type { Database } from 'better-sqlite3'
import { isHeadMac } from './audit-chain.ts'
import { writeAudit } from './audit.ts'
import { branchTransactions } from './branches.ts'
import { writeBlobs } from './blobs.ts'
import { codeOf, connectWriter, refusalOf, transaction } from './connect.ts'
import { LedgerRefused, type AuditNote, type NewToken, type Token } from './ledger.ts'
import { setMark } from './mark.ts'
import { migrate } from './migrate.ts'
import { tagTransactions } from './move-tag.ts'
import { policyTransaction } from './policies.ts'
import { publishTransaction } from './publish.ts'
import { repositoryTransactions } from './repositories.ts'
import { readTokens, writeTokens } from './tokens.ts'
import { collectTransaction, stageTransaction } from './uploads.ts'
import { vaultBinding } from './vault-binding.ts'
import { withdrawTransaction } from './withdraw.ts'
import type { Transactions } from './wire.ts'

export interface WriterOptions {
  readonly file: string
  readonly auditKey: Uint8Array | undefined
}

const RESTORE = 'find out who changed it, or restore a backup'

/** Whoever holds no key could have rewritten the log: a server that would go on appending to it hides that. */
function authenticateHead(db: Database, key: Uint8Array | undefined): void {
  const audit = writeAudit(db, key)
  const { seq, hash, mac } = audit.head()
  if (mac === undefined) {
    if (key !== undefined)
      transaction(db, () => {
        audit.adopt()
      })()
    return
  }
  if (key === undefined)
    throw new LedgerRefused(
      `the audit log in ${db.name} is authenticated with a key and none is configured: give the server its key file`,
    )
  if (!isHeadMac(key, seq, hash, mac))
    throw new LedgerRefused(
      `the audit log in ${db.name} was changed, or the key file is another than the one it was written with: ` +
        `give the server that file; if it is the right one, ${RESTORE}`,
    )
}

/** Fails where a later transaction would. */
const probe = (db: Database) => (): void => {
  db.exec('BEGIN IMMEDIATE')
  try {
    db.exec('UPDATE audit_head SET seq = seq WHERE id = 1')
  } finally {
    db.exec('ROLLBACK')
  }
}

/** Tensors from which a publication is worth a checkpoint before it: some megabytes of log. */
const MANY_TENSORS = 10_000

/** Empties the log, if the disk has room for what the database lacks; committed it is either way. */
function shrinkLog(db: Database): void {
  try {
    db.pragma('wal_checkpoint(TRUNCATE)')
  } catch (error) {
    if (codeOf(error) !== 'SQLITE_FULL') throw error
  }
}

/**
 * A publication that fills the disk leaves its dead log there. With everything before it in the database already,
 * emptying the log needs no room, and gives back what the publication took.
 */
function publishAndShrink(db: Database, key: Uint8Array | undefined): Transactions['publish'] {
  const publish = publishTransaction(db, key)
  return (publication) => {
    const counts = publication.files.map(({ blob }) => blob?.tensors?.count ?? 0)
    const isLarge = counts.reduce((sum, count) => sum + count, 0) >= MANY_TENSORS
    if (isLarge) db.pragma('wal_checkpoint(PASSIVE)')
    try {
      return publish(publication)
    } catch (error) {
      if (codeOf(error) === 'SQLITE_FULL') shrinkLog(db)
      throw error
    }
  }
}

function transactionsOf(db: Database, key: Uint8Array | undefined): Transactions {
  const audit = writeAudit(db, key)
  const blobs = writeBlobs(db)
  const tokens = { ...readTokens(db), ...writeTokens(db) }
  const now = () => new Date().toISOString()

  function createToken(token: NewToken, note: AuditNote): Token {
    const at = now()
    tokens.insert(token, at)
    audit.append([{ ...note, subject: token.id }], at)
    const created = tokens.get(token.id)
    if (created === undefined) throw new Error('a token got no row')
    return created
  }

  function revokeToken(id: string, note: AuditNote): Token | undefined {
    const at = now()
    if (tokens.revoke(id, at)) audit.append([{ ...note, subject: id }], at)
    return tokens.get(id)
  }

  function quarantine(vaultId: string, note: AuditNote): boolean {
    const changed = blobs.quarantine(vaultId)
    if (changed) audit.append([note], now())
    return changed
  }

  function settleRestored(note: AuditNote): void {
    setMark(db, 'ledger')
    audit.append([note], now())
  }

  return {
    createToken: transaction(db, createToken),
    revokeToken: transaction(db, revokeToken),
    publish: publishAndShrink(db, key),
    withdraw: withdrawTransaction(db, key),
    setPolicy: policyTransaction(db, key),
    ...tagTransactions(db, key),
    ...branchTransactions(db, key),
    ...repositoryTransactions(db, key),
    stageUpload: stageTransaction(db, key),
    collectUploads: collectTransaction(db),
    quarantine: transaction(db, quarantine),
    bindVault: transaction(db, vaultBinding(db).bind),
    settleRestored: transaction(db, settleRestored),
    appendAudit: transaction(db, (notes: readonly AuditNote[]) => audit.append(notes, now())),
    ping: probe(db),
    close() {
      try {
        shrinkLog(db)
      } finally {
        db.close()
      }
    },
  }
}

/**
 * Opens the writing connection, brings the schema up to date and authenticates the audit log's head.
 *
 * @throws LedgerRefused when the file can't be a ledger as it is
 */
export function openTransactions({ file, auditKey }: WriterOptions): Transactions {
  let db: Database | undefined
  try {
    db = connectWriter(file)
    migrate(db)
    authenticateHead(db, auditKey)
    probe(db)()
    return transactionsOf(db, auditKey)
  } catch (error) {
    db?.close()
    throw refusalOf(error, file)
  }
}
