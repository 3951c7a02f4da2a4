import type { Database } from 'better-sqlite3'
import { entryHash, headMac, type AuditRow } from './audit-chain.ts'
import type { AuditEntry, AuditHead, AuditNote, AuditQuery } from './ledger.ts'
import { storedObject } from './stored-json.ts'

interface HeadRow {
  seq: number
  hash: string
  mac: string | null
  /** Of the entries themselves: an intact ledger's head names it. */
  last: number
}

const COLUMNS =
  'seq, at, action, actor_id, actor_name, address, subject, revision, outcome, details, prev_hash, hash'

const entryOf = (row: AuditRow): AuditEntry => ({
  seq: row.seq,
  at: row.at,
  action: row.action,
  actorId: row.actor_id ?? undefined,
  actorName: row.actor_name ?? undefined,
  address: row.address ?? undefined,
  subject: row.subject ?? undefined,
  revision: row.revision ?? undefined,
  outcome: row.outcome,
  details: row.details === null ? undefined : storedObject(row.details, "an entry's details"),
  prevHash: row.prev_hash,
  hash: row.hash,
})

export function readAudit(db: Database) {
  const page = (condition: string) =>
    db.prepare<AuditQuery, AuditRow>(
      `SELECT ${COLUMNS} FROM audit WHERE ${condition} AND seq > @after ORDER BY seq LIMIT @limit`,
    )
  const everything = page('true')
  const ofAction = page('action = @action')
  const ofSubject = page('subject = @subject')
  const ofBoth = page('subject = @subject AND +action = @action')
  const backwards = (condition: string) =>
    db.prepare<{ of: string; before: number; limit: number }, AuditRow>(
      `SELECT ${COLUMNS} FROM audit WHERE ${condition} AND seq < @before ORDER BY seq DESC LIMIT @limit`,
    )
  // In the words of the two indexes, each of which holds such entries and no others.
  const ofTag = backwards("subject = @of AND action = 'tag'")
  const ofLatest = backwards(
    "substr(subject, 1, instr(subject, '@') - 1) = @of AND action IN ('publish', 'withdraw')",
  )
  const head = db.prepare<[], HeadRow>(
    `SELECT seq, hash, mac, coalesce((SELECT max(seq) FROM audit), 0) AS last
     FROM audit_head WHERE id = 1`,
  )
  const statementFor = ({ action, subject }: AuditQuery) => {
    if (action === undefined) return subject === undefined ? everything : ofSubject
    return subject === undefined ? ofAction : ofBoth
  }
  return {
    page: (query: AuditQuery): readonly AuditEntry[] => statementFor(query).all(query).map(entryOf),
    /** What moved a tag, newest first. `of` is `owner/name@tag`. */
    ofTag: (of: string, before: number, limit: number): readonly AuditEntry[] =>
      ofTag.all({ of, before, limit }).map(entryOf),
    /** What may have moved `latest`, newest first. `of` is `owner/name`. */
    ofLatest: (of: string, before: number, limit: number): readonly AuditEntry[] =>
      ofLatest.all({ of, before, limit }).map(entryOf),
    rows: (after: number, limit: number): readonly AuditRow[] => everything.all({ after, limit }),
    /** Undefined only in a ledger that someone has tampered with. */
    head(): (AuditHead & { readonly last: number }) | undefined {
      const row = head.get()
      return row && { ...row, mac: row.mac ?? undefined }
    },
  }
}

const textOf = (value: string | undefined): string | null => value?.toWellFormed() ?? null

/** SQLite stores UTF-8: what has no such form must not be hashed in another. */
const rowOf = (note: AuditNote, seq: number, at: string, prevHash: string) => ({
  seq,
  at,
  action: note.action.toWellFormed(),
  actor_id: textOf(note.actorId),
  actor_name: textOf(note.actorName),
  address: textOf(note.address),
  subject: textOf(note.subject),
  revision: textOf(note.revision),
  outcome: note.outcome.toWellFormed(),
  details: note.details === undefined ? null : JSON.stringify(note.details),
  prev_hash: prevHash,
})

/** Runs inside the caller's transaction, so that an entry exists exactly when what it records does. */
export function writeAudit(db: Database, key: Uint8Array | undefined) {
  const audit = readAudit(db)
  const insert = db.prepare<AuditRow>(
    `INSERT INTO audit (${COLUMNS}) VALUES (@seq, @at, @action, @actor_id, @actor_name, @address,
       @subject, @revision, @outcome, @details, @prev_hash, @hash)`,
  )
  const setHead = db.prepare<{ seq: number; hash: string; mac: string | null }>(
    'UPDATE audit_head SET seq = @seq, hash = @hash, mac = @mac WHERE id = 1',
  )
  const head = (): AuditHead => {
    const found = audit.head()
    if (found === undefined) throw new Error('the audit log has no head')
    return { seq: found.seq, hash: found.hash, mac: found.mac }
  }
  const moveHead = (seq: number, hash: string): AuditHead => {
    const mac = key && headMac(key, seq, hash)
    setHead.run({ seq, hash, mac: mac ?? null })
    return { seq, hash, mac }
  }
  return {
    head,
    /** Authenticates the head as it stands. */
    adopt(): void {
      const { seq, hash } = head()
      moveHead(seq, hash)
    },
    append(notes: readonly AuditNote[], at: string): AuditHead {
      let { seq, hash } = head()
      for (const note of notes) {
        seq += 1
        const row = rowOf(note, seq, at, hash)
        hash = entryHash(row)
        insert.run({ ...row, hash })
      }
      return notes.length === 0 ? head() : moveHead(seq, hash)
    },
  }
}
