import type { AuditNote, Ledger } from '../../db/ledger.ts'
import type { Principal } from './principal.ts'

/** A file of a version that went out, whole or in part. */
export interface Download {
  readonly principal: Principal
  readonly address: string
  /** `owner/name@version`. */
  readonly subject: string
  readonly revision: string
  readonly path: string
  readonly bytes: number
}

/** The part of the audit log that isn't written inside the transaction of a change. */
export interface AuditLog {
  /** Soon to be written: what was refused, verified, found broken. */
  note: (note: AuditNote) => void
  /** Counted: one entry a token, file and minute. */
  download: (download: Download) => void
  /** Writes all that is known so far, so that whoever reads the log next sees it. */
  flush: () => Promise<void>
  /** Flushes for the last time. */
  close: () => Promise<void>
}

interface Folded {
  readonly first: Download
  readonly minute: number
  count: number
  bytes: number
}

const MINUTE_MS = 60_000
const WRITE_EVERY_MS = 1_000
/** Notes or counts beyond this are written at once rather than kept. */
const MAX_PENDING = 5_000

export function createAuditLog(ledger: Ledger, onFailure: (error: unknown) => void): AuditLog {
  let notes: AuditNote[] = []
  let folded = new Map<string, Folded>()
  let writing: Promise<unknown> = Promise.resolve()

  function write(batch: readonly AuditNote[]): void {
    if (batch.length === 0) return
    writing = writing.then(() => ledger.appendAudit(batch)).catch(onFailure)
  }

  function writeNotes(): void {
    const batch = notes
    notes = []
    write(batch)
  }

  /** Counts of minutes that are over, or of all. */
  function writeCounts(isDue: (minute: number) => boolean): void {
    const open = new Map<string, Folded>()
    const due: AuditNote[] = []
    for (const [key, fold] of folded) {
      if (isDue(fold.minute)) due.push(noteOf(fold))
      else open.set(key, fold)
    }
    folded = open
    write(due)
  }

  const timer = setInterval(() => {
    const now = currentMinute()
    writeNotes()
    writeCounts((minute) => minute < now)
  }, WRITE_EVERY_MS)
  timer.unref()

  async function flush(): Promise<void> {
    writeNotes()
    writeCounts(() => true)
    await writing
  }

  return {
    note: (note) => {
      notes.push(note)
      if (notes.length >= MAX_PENDING) writeNotes()
    },
    download: (download) => {
      const minute = currentMinute()
      const key = JSON.stringify([
        minute,
        download.principal.tokenId,
        download.revision,
        download.path,
      ])
      const fold = folded.get(key) ?? { first: download, minute, count: 0, bytes: 0 }
      fold.count += 1
      fold.bytes += download.bytes
      folded.set(key, fold)
      if (folded.size >= MAX_PENDING) writeCounts(() => true)
    },
    flush,
    close: async () => {
      clearInterval(timer)
      await flush()
    },
  }
}

// The monotonic clock decides what a minute is: a jump of the wall clock must not keep counts back.
const currentMinute = (): number => Math.floor(performance.now() / MINUTE_MS)

function noteOf({ first, count, bytes }: Folded): AuditNote {
  const { principal, address, subject, revision, path } = first
  return {
    action: 'download',
    actorId: principal.tokenId,
    actorName: principal.name,
    address,
    subject,
    revision,
    outcome: 'ok',
    details: { path, count, bytes },
  }
}
