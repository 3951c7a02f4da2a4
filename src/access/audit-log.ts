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
  /** `ok`, `ABORTED` when the caller hung up or was cut off, or the code of what went wrong. */
  readonly outcome: string
}

/** A request that a detector was asked for. Nothing of what it was asked is here. */
export interface Detecting {
  readonly principal: Principal
  readonly address: string
  /** `owner/name@version`, or the ref that should have led to one. */
  readonly subject: string | undefined
  readonly revision?: string
  /** Of the request's body. */
  readonly bytes: number
  /** `ok`, or the code of what went wrong. */
  readonly outcome: string
}

/** The part of the audit log that isn't written inside the transaction of a change. */
export interface AuditLog {
  /** Soon to be written, by itself. */
  note: (note: AuditNote) => void
  /** Counted: one entry a minute for the same refusal to the same token. */
  refused: (note: AuditNote) => void
  /** Counted: one entry a token, file, outcome and minute. */
  download: (download: Download) => void
  /** Counted: one entry a token, detector, outcome and minute. */
  detection: (detecting: Detecting) => void
  /** Writes all that is known so far, so that whoever reads the log next sees it. */
  flush: () => Promise<void>
  /** Flushes for the last time. */
  close: () => Promise<void>
}

interface Folded {
  readonly note: AuditNote
  readonly minute: number
  readonly since: string
  count: number
  /** Absent where no bytes are counted. */
  bytes: number | undefined
}

const MINUTE_MS = 60_000
const WRITE_EVERY_MS = 1_000
/** More than this is written at once rather than kept; what a failing ledger won't take is kept up to ten times this. */
const MAX_PENDING = 5_000

export function createAuditLog(ledger: Ledger, onFailure: (error: unknown) => void): AuditLog {
  let notes: AuditNote[] = []
  let folded = new Map<string, Folded>()
  let writing: Promise<unknown> = Promise.resolve()
  let isFailing = false

  async function append(): Promise<void> {
    while (notes.length > 0) {
      const batch = notes.splice(0, MAX_PENDING)
      try {
        await ledger.appendAudit(batch)
        isFailing = false
      } catch (error) {
        isFailing = true
        onFailure(error)
        // Nothing of it was written: it goes first when the ledger can write again.
        notes = [...batch, ...notes].slice(0, MAX_PENDING * 10)
        return
      }
    }
  }

  function write(): void {
    writing = writing.then(append)
  }

  /** A ledger that fails is tried again once a second, not at every request. */
  function writeEarly(): void {
    if (!isFailing) write()
  }

  /** Counts of minutes that are over, or of all, become notes. */
  function closeCounts(isDue: (minute: number) => boolean): void {
    const open = new Map<string, Folded>()
    for (const [key, fold] of folded) {
      if (isDue(fold.minute)) notes.push(noteOf(fold))
      else open.set(key, fold)
    }
    folded = open
  }

  function count(key: readonly unknown[], note: AuditNote, bytes?: number): void {
    const minute = currentMinute()
    const name = JSON.stringify([minute, ...key])
    let fold = folded.get(name)
    if (fold === undefined) {
      fold = { note, minute, since: new Date().toISOString(), count: 0, bytes: undefined }
      folded.set(name, fold)
    }
    fold.count += 1
    if (bytes !== undefined) fold.bytes = (fold.bytes ?? 0) + bytes
    if (folded.size < MAX_PENDING) return
    closeCounts(() => true)
    writeEarly()
  }

  const timer = setInterval(() => {
    const now = currentMinute()
    closeCounts((minute) => minute < now)
    write()
  }, WRITE_EVERY_MS)
  timer.unref()

  async function flush(): Promise<void> {
    closeCounts(() => true)
    write()
    await writing
  }

  return {
    note: (note) => {
      notes.push(note)
      if (notes.length >= MAX_PENDING) writeEarly()
    },
    refused: (note) => {
      count(['refuse', note], note)
    },
    download: (download) => {
      const { principal, revision, path, outcome, bytes } = download
      const note = { ...noteOfUse('download', download), details: { path } }
      count(['download', principal.tokenId, revision, path, outcome], note, bytes)
    },
    detection: (detection) => {
      const { principal, subject, revision, outcome, bytes } = detection
      const note = noteOfUse('detect', detection)
      count(['detect', principal.tokenId, subject, revision, outcome], note, bytes)
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

const noteOf = ({ note, since, count, bytes }: Folded): AuditNote => ({
  ...note,
  details: { ...note.details, count, ...(bytes === undefined ? {} : { bytes }), since },
})

function noteOfUse(
  action: 'download' | 'detect',
  { principal, address, subject, revision, outcome }: Download | Detecting,
): AuditNote {
  return {
    action,
    actorId: principal.tokenId,
    actorName: principal.name,
    address,
    subject,
    revision,
    outcome,
  }
}
