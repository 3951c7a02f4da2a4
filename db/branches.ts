import type { Database } from 'better-sqlite3'
import { writeAudit } from './audit.ts'
import type { BranchOutcome, TagChange } from './changes.ts'
import { readCheckpoints } from './checkpoints.ts'
import { transaction } from './connect.ts'
import { permits } from './permit.ts'
import { tagProtection } from './policies.ts'
import { readTags } from './tags.ts'
import { readVersions } from './versions.ts'

/** Branches that have no version yet; once they have one they are tags. */
export function newBranches(db: Database) {
  const find = db
    .prepare<{ checkpoint: number; branch: string }, number>(
      'SELECT 1 FROM new_branches WHERE checkpoint = @checkpoint AND branch = @branch',
    )
    .pluck()
  const add = db.prepare<{ checkpoint: number; branch: string }>(
    'INSERT INTO new_branches (checkpoint, branch) VALUES (@checkpoint, @branch)',
  )
  const remove = db.prepare<{ checkpoint: number; branch: string }>(
    'DELETE FROM new_branches WHERE checkpoint = @checkpoint AND branch = @branch',
  )
  const count = db
    .prepare<{ checkpoint: number }, number>(
      'SELECT count(*) FROM new_branches WHERE checkpoint = @checkpoint',
    )
    .pluck()
  return {
    has: (checkpoint: number, branch: string): boolean =>
      find.get({ checkpoint, branch }) !== undefined,
    add(checkpoint: number, branch: string): void {
      add.run({ checkpoint, branch })
    },
    /** False when there was none. */
    remove: (checkpoint: number, branch: string): boolean =>
      remove.run({ checkpoint, branch }).changes === 1,
    count: (checkpoint: number): number => count.get({ checkpoint }) ?? 0,
  }
}

interface Judged {
  readonly outcome: 'may'
  readonly checkpoint: number
  readonly actorName: string
  /** `owner/name@branch`, in the checkpoint's own spelling. */
  readonly subject: string
  readonly now: string
}

/** Of one checkpoint; whoever wants more commits to those that there are. */
const MAX_NEW_BRANCHES = 1000

/** The transactions on branches of a checkpoint that has nothing on main to begin them with. */
export function branchTransactions(db: Database, key: Uint8Array | undefined) {
  const permit = permits(db)
  const checkpoints = readCheckpoints(db)
  const versions = readVersions(db)
  const tags = readTags(db)
  const branches = newBranches(db)
  const isProtected = tagProtection(db)
  const audit = writeAudit(db, key)

  function judge(change: TagChange): Judged | BranchOutcome {
    const { owner, name, tag } = change
    const now = new Date().toISOString()
    const permitted = permit(change, owner, name, now)
    if (permitted.outcome !== 'permitted') return permitted
    const { actorName, role } = permitted
    if (isProtected.fromChange(change, role)) return { outcome: 'protected', current: null }
    const checkpoint = checkpoints.find(owner, name)
    if (checkpoint === undefined || checkpoint.deleted_at !== null)
      return { outcome: 'checkpoint_missing' }
    const subject = `${checkpoint.owner}/${checkpoint.name}@${tag}`
    return { outcome: 'may', checkpoint: checkpoint.id, actorName, subject, now }
  }

  function enter(
    { tokenId: actorId, address }: TagChange,
    { actorName, subject, now }: Judged,
    branch: 'started' | 'dropped',
  ): void {
    const entry = { action: 'tag', actorId, actorName, address, subject, outcome: 'ok' }
    audit.append([{ ...entry, details: { branch } }], now)
  }

  function startBranch(change: TagChange): BranchOutcome {
    const judged = judge(change)
    if (judged.outcome !== 'may') return judged
    const { checkpoint } = judged
    const namesake = versions.find(checkpoint, change.tag)
    if (namesake !== undefined) return { outcome: 'version_exists', revision: namesake.revision }
    if (branches.has(checkpoint, change.tag) || tags.find(checkpoint, change.tag) !== undefined)
      return { outcome: 'unexpected', current: null }
    if (branches.count(checkpoint) === MAX_NEW_BRANCHES) return { outcome: 'too_many' }
    branches.add(checkpoint, change.tag)
    enter(change, judged, 'started')
    return { outcome: 'started' }
  }

  function dropBranch(change: TagChange): BranchOutcome {
    const judged = judge(change)
    if (judged.outcome !== 'may') return judged
    if (!branches.remove(judged.checkpoint, change.tag)) return { outcome: 'tag_missing' }
    enter(change, judged, 'dropped')
    return { outcome: 'dropped' }
  }

  return {
    startBranch: transaction(db, startBranch),
    dropBranch: transaction(db, dropBranch),
  }
}
