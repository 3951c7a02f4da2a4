import { LRUCache } from 'lru-cache'
import type { Logger } from 'pino'
import type { AuditNote, Blob, Ledger } from '../db/ledger.ts'
import type { Snapshot } from '../db/open-snapshot.ts'
import { readOnly } from './errors.ts'

/** What is forgotten beyond that is found again at its next read. */
const DAMAGED_KEPT = 100_000

/**
 * A ledger over a snapshot, which nothing writes: damage is remembered for as long as the process lives, and what
 * would be an audit entry is a line of the log. Whatever else would write is refused.
 */
export function readOnlyLedger(snapshot: Snapshot, log: Logger): Ledger {
  const damaged = new LRUCache<string, true>({ max: DAMAGED_KEPT })
  // Entries are no matter of how much the operator wants to read.
  const auditLog = log.child({}, { level: 'info' })

  const asFound = <B extends Blob | undefined>(blob: B): B =>
    blob !== undefined && damaged.has(blob.vaultId) ? { ...blob, state: 'quarantined' } : blob
  const enter = (note: AuditNote): void => {
    auditLog.info({ audit: tellNote(note) }, 'audit entry')
  }
  const refuse = (): Promise<never> => Promise.reject(readOnly())

  return {
    ...snapshot,
    blob: async (id) => asFound(await snapshot.blob(id)),
    filesOf: async (versionId) =>
      (await snapshot.filesOf(versionId)).map((file) => ({ ...file, blob: asFound(file.blob) })),

    quarantine: (vaultId, note) => {
      const isNews = !damaged.has(vaultId)
      damaged.set(vaultId, true)
      if (isNews) enter(note)
      return Promise.resolve(isNews)
    },
    appendAudit: (notes) => {
      notes.forEach(enter)
      return snapshot.auditHead()
    },
    close: () => {
      snapshot.close()
      return Promise.resolve()
    },

    createToken: refuse,
    revokeToken: refuse,
    publish: refuse,
    withdraw: refuse,
    setPolicy: refuse,
    moveTag: refuse,
    deleteTag: refuse,
    startBranch: refuse,
    dropBranch: refuse,
    createCheckpoint: refuse,
    deleteCheckpoint: refuse,
    stageUpload: refuse,
    collectUploads: () => Promise.resolve([]),
    bindVault: refuse,
    settleRestored: refuse,
  }
}

/** In the words in which the API tells an entry. */
const tellNote = ({ actorId, actorName, details, ...note }: AuditNote): object => ({
  action: note.action,
  who: actorId === undefined ? null : { id: actorId, name: actorName ?? '' },
  address: note.address ?? null,
  subject: note.subject ?? null,
  revision: note.revision ?? null,
  outcome: note.outcome,
  details: details ?? {},
})
