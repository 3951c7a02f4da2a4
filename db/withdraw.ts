import type { Database } from 'better-sqlite3'
import { writeAudit } from './audit.ts'
import type { Withdrawal, WithdrawOutcome } from './changes.ts'
import { readCheckpoints } from './checkpoints.ts'
import { transaction } from './connect.ts'
import { permits } from './permit.ts'
import { LATEST, readTags, writeTags } from './tags.ts'
import { readVersions, writeVersions } from './versions.ts'

/**
 * The transaction that withdraws a version: its row and its files stay, so that its name is never used again. `latest`
 * goes to the last admitted version that is available; other tags go on naming what they name.
 */
export function withdrawTransaction(db: Database, key: Uint8Array | undefined) {
  const permit = permits(db)
  const checkpoints = readCheckpoints(db)
  const versions = { ...readVersions(db), ...writeVersions(db) }
  const tags = { ...readTags(db), ...writeTags(db) }
  const audit = writeAudit(db, key)

  function withdraw(withdrawal: Withdrawal): WithdrawOutcome {
    const { tokenId, address, owner, name, version, reason } = withdrawal
    const now = new Date().toISOString()
    const permitted = permit(withdrawal, owner, name, now)
    if (permitted.outcome !== 'permitted') return permitted
    const checkpoint = checkpoints.find(owner, name)
    if (checkpoint === undefined) return { outcome: 'checkpoint_missing' }
    const found = versions.find(checkpoint.id, version)
    if (found === undefined) return { outcome: 'version_missing' }
    if (found.state === 'withdrawn') return { outcome: 'withdrawn_before' }

    const { actorName } = permitted
    const { id, revision } = found
    const wasLatest = tags.find(checkpoint.id, LATEST)?.versionId === id
    versions.withdraw(id, reason)
    if (wasLatest) moveLatest(checkpoint.id, now)
    const latest = tags.find(checkpoint.id, LATEST)
    const subject = `${checkpoint.owner}/${checkpoint.name}@${version}`
    const details = {
      reason,
      latest: latest?.revision ?? null,
      latest_version: latest?.version ?? null,
      was_latest: wasLatest,
    }
    const entry = { action: 'withdraw', actorId: tokenId, actorName, address, subject, revision }
    audit.append([{ ...entry, outcome: 'ok', details }], now)
    return { outcome: 'withdrawn' }
  }

  function moveLatest(checkpoint: number, now: string): void {
    const newest = versions.newestAvailable(checkpoint)
    if (newest === undefined) tags.remove(checkpoint, LATEST)
    else tags.move(checkpoint, LATEST, newest, now)
  }

  return transaction(db, withdraw)
}
