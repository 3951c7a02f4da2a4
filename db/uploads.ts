import type { Database } from 'better-sqlite3'
import { writeAudit } from './audit.ts'
import { readBlobs, writeBlobs } from './blobs.ts'
import type { StagedUpload, StageOutcome } from './changes.ts'
import { readCheckpoints } from './checkpoints.ts'
import { transaction } from './connect.ts'
import { writeContents } from './contents.ts'
import { permits } from './permit.ts'

interface UploadKey {
  readonly token: string
  readonly owner: string
  readonly name: string
}

/** Of how many expired uploads one transaction lets go. */
const COLLECTED_AT_ONCE = 100

export function writeUploads(db: Database) {
  const put = db.prepare<UploadKey & { blob: number; path: string; expiresAt: string }>(
    `INSERT INTO uploads (token, owner, name, blob, path, expires_at)
     VALUES (@token, @owner, @name, @blob, @path, @expiresAt)
     ON CONFLICT (token, owner, name, blob) DO UPDATE SET path = @path, expires_at = @expiresAt`,
  )
  const settle = db.prepare<UploadKey & { version: number }>(
    `DELETE FROM uploads WHERE token = @token AND owner = @owner AND name = @name
       AND blob IN (SELECT blob FROM files WHERE version = @version)`,
  )
  return {
    put(upload: Parameters<typeof put.run>[0]): void {
      put.run(upload)
    },
    /** What a version names needs no upload any more. */
    settle(key: UploadKey, version: number): void {
      settle.run({ ...key, version })
    },
  }
}

/** The transaction that gives proven bytes their row before any version names them. */
export function stageTransaction(db: Database, key: Uint8Array | undefined) {
  const permit = permits(db)
  const checkpoints = readCheckpoints(db)
  const putContent = writeContents(db)
  const uploads = writeUploads(db)
  const audit = writeAudit(db, key)

  function stage(upload: StagedUpload): StageOutcome {
    const { tokenId, address, owner, name, file, expiresAt } = upload
    const now = new Date().toISOString()
    const permitted = permit(upload, owner, name, now)
    if (permitted.outcome !== 'permitted') return permitted
    const checkpoint = checkpoints.find(owner, name)
    if (checkpoint === undefined || checkpoint.deleted_at !== null)
      return { outcome: 'checkpoint_missing' }
    const blob = putContent(file, now)
    if (blob.repaired) {
      const actor = { actorId: tokenId, actorName: permitted.actorName, address }
      const subject = `${checkpoint.owner}/${checkpoint.name}`
      const details = { path: file.path, sha256: file.sha256 }
      audit.append([{ action: 'repair', ...actor, subject, outcome: 'ok', details }], now)
    }
    uploads.put({ token: tokenId, owner, name, blob: blob.id, path: file.path, expiresAt })
    return { outcome: 'staged', retired: blob.retired === undefined ? [] : [blob.retired] }
  }

  return transaction(db, stage)
}

/** The transaction that lets go of uploads whose time is over, and of the bytes that nothing else names. */
export function collectTransaction(db: Database) {
  const blobs = { ...readBlobs(db), ...writeBlobs(db) }
  const expired = db
    .prepare<{ now: string; limit: number }, number>(
      'SELECT DISTINCT blob FROM uploads WHERE expires_at <= @now LIMIT @limit',
    )
    .pluck()
  const forget = db.prepare<{ blob: number; now: string }>(
    'DELETE FROM uploads WHERE blob = @blob AND expires_at <= @now',
  )

  function collect(now: string): readonly string[] {
    const removed: string[] = []
    for (const blob of expired.all({ now, limit: COLLECTED_AT_ONCE })) {
      forget.run({ blob, now })
      const vaultId = blobs.isNamed(blob) ? undefined : blobs.drop(blob)
      if (vaultId !== undefined) removed.push(vaultId)
    }
    return removed
  }

  return transaction(db, collect)
}
