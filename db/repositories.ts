import type { Database } from 'better-sqlite3'
import { writeAudit } from './audit.ts'
import type { CheckpointChange, CreateOutcome, DeleteOutcome } from './changes.ts'
import { readCheckpoints, writeCheckpoints } from './checkpoints.ts'
import { transaction } from './connect.ts'
import { permits } from './permit.ts'
import { readPolicies, writePolicies } from './policies.ts'
import { writeTags } from './tags.ts'
import { readVersions, writeVersions } from './versions.ts'

/** What holds for a checkpoint that a client of the Hub makes, where its owner doesn't say otherwise. */
const RULES = { sidecars: true } as const

/** The transactions that make a checkpoint before it has a version, and that withdraw all of one. */
export function repositoryTransactions(db: Database, key: Uint8Array | undefined) {
  const permit = permits(db)
  const checkpoints = { ...readCheckpoints(db), ...writeCheckpoints(db) }
  const versions = { ...readVersions(db), ...writeVersions(db) }
  const tags = writeTags(db)
  const policiesOf = readPolicies(db)
  const putPolicy = writePolicies(db)
  const audit = writeAudit(db, key)

  function createCheckpoint(change: CheckpointChange): CreateOutcome {
    const { tokenId, address, owner, name } = change
    const now = new Date().toISOString()
    const permitted = permit(change, owner, name, now)
    if (permitted.outcome !== 'permitted') return permitted
    const known = checkpoints.find(owner, name)
    const found = { owner: known?.owner ?? owner, name: known?.name ?? name }
    if (known !== undefined && known.deleted_at === null) return { outcome: 'exists', ...found }
    if (known === undefined) checkpoints.insert(owner, name, now)
    else checkpoints.revive(known.id)
    const { actorName } = permitted
    const levels = policiesOf(owner, name)
    const isSaid = levels.checkpoint !== undefined || levels.owner?.rules.sidecars !== undefined
    if (!isSaid) putPolicy({ owner, name, rules: JSON.stringify(RULES), now, actorName })
    const actor = { actorId: tokenId, actorName, address }
    const subject = `${found.owner}/${found.name}`
    const details = { created: true, ...(isSaid ? {} : { rules: RULES, replaced: null }) }
    audit.append([{ action: 'policy', ...actor, subject, outcome: 'ok', details }], now)
    return { outcome: 'created', ...found }
  }

  function deleteCheckpoint(change: CheckpointChange & { readonly reason: string }): DeleteOutcome {
    const { tokenId, address, owner, name, reason } = change
    const now = new Date().toISOString()
    const permitted = permit(change, owner, name, now)
    if (permitted.outcome !== 'permitted') return permitted
    const known = checkpoints.find(owner, name)
    if (known === undefined || known.deleted_at !== null) return { outcome: 'checkpoint_missing' }
    const actor = { actorId: tokenId, actorName: permitted.actorName, address }
    const subject = `${known.owner}/${known.name}`
    const notes = versions.available(known.id).map(({ id, version, revision }) => {
      versions.withdraw(id, reason)
      const entry = { action: 'withdraw', ...actor, subject: `${subject}@${version}`, revision }
      const details = { reason, latest: null, latest_version: null, was_latest: false }
      return { ...entry, outcome: 'ok', details }
    })
    tags.removeAll(known.id)
    checkpoints.markDeleted(known.id, now)
    const details = { deleted: true, versions: notes.length }
    audit.append([...notes, { action: 'withdraw', ...actor, subject, outcome: 'ok', details }], now)
    return { outcome: 'deleted' }
  }

  return {
    createCheckpoint: transaction(db, createCheckpoint),
    deleteCheckpoint: transaction(db, deleteCheckpoint),
  }
}
