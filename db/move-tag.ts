import type { Database } from 'better-sqlite3'
import { writeAudit } from './audit.ts'
import type { TagChange, TagDeleted, TagMove, TagMoved, TagRefusal } from './changes.ts'
import { readCheckpoints } from './checkpoints.ts'
import { newBranches } from './branches.ts'
import { transaction } from './connect.ts'
import { permits } from './permit.ts'
import { tagProtection } from './policies.ts'
import { readTags, writeTags } from './tags.ts'
import { readVersions } from './versions.ts'

/** A change that its caller may make, and what it finds. */
interface Judged {
  readonly outcome: 'may'
  readonly actorName: string
  readonly now: string
  readonly checkpoint: number
  /** `owner/name@tag`, in the checkpoint's own spelling. */
  readonly subject: string
  readonly at: ReturnType<ReturnType<typeof readTags>['find']>
}

/** The transactions that move and delete a tag. Who may, and what the tag names now, is decided in here. */
export function tagTransactions(db: Database, key: Uint8Array | undefined) {
  const permit = permits(db)
  const checkpoints = readCheckpoints(db)
  const versions = readVersions(db)
  const tags = { ...readTags(db), ...writeTags(db) }
  const branches = newBranches(db)
  const isProtected = tagProtection(db)
  const audit = writeAudit(db, key)

  function judge(change: TagChange): Judged | TagRefusal {
    const { owner, name, tag } = change
    const now = new Date().toISOString()
    const permitted = permit(change, owner, name, now)
    if (permitted.outcome !== 'permitted') return permitted
    const { actorName, role } = permitted
    const checkpoint = checkpoints.find(owner, name)
    const at = checkpoint && tags.find(checkpoint.id, tag)
    if (isProtected.fromChange(change, role))
      return { outcome: 'protected', current: at?.revision ?? null }
    if (checkpoint === undefined) return { outcome: 'checkpoint_missing' }
    const subject = `${checkpoint.owner}/${checkpoint.name}@${tag}`
    return { outcome: 'may', actorName, now, checkpoint: checkpoint.id, subject, at }
  }

  function moveTag(move: TagMove): TagMoved | TagRefusal {
    const judged = judge(move)
    if (judged.outcome !== 'may') return judged
    const { checkpoint, now, at } = judged
    const { owner, name, tag, ref, expected, kind } = move
    const namesake = versions.find(checkpoint, tag)
    if (namesake !== undefined) return { outcome: 'version_exists', revision: namesake.revision }
    const found = versions.resolve(owner, name, ref)
    if (found === undefined) return { outcome: 'version_missing' }
    const { id, version, revision, state, withdrawnReason } = found.version
    if (state === 'withdrawn') return { outcome: 'withdrawn', reason: withdrawnReason ?? '' }
    const previous = at?.revision ?? null
    const isStarted = branches.has(checkpoint, tag)
    if (expected !== undefined && (expected !== previous || isStarted))
      return { outcome: 'unexpected', current: previous }
    if (revision === previous) return { outcome: 'unchanged', version, revision, previous }
    // A branch that had nothing has something now, and stays one.
    if (isStarted) branches.remove(checkpoint, tag)
    tags.move(checkpoint, tag, id, now, isStarted ? 'branch' : kind)
    enter(move, judged, revision, { from: previous, to: revision, version })
    return { outcome: previous === null ? 'created' : 'moved', version, revision, previous }
  }

  function deleteTag(change: TagChange): TagDeleted | TagRefusal {
    const judged = judge(change)
    if (judged.outcome !== 'may') return judged
    const { checkpoint, at } = judged
    if (at === undefined) return { outcome: 'tag_missing' }
    const { revision } = at
    if (change.expected !== undefined && change.expected !== revision)
      return { outcome: 'unexpected', current: revision }
    tags.remove(checkpoint, change.tag)
    enter(change, judged, revision, { from: revision, to: null, version: null })
    return { outcome: 'deleted' }
  }

  function enter(
    { tokenId, address }: TagChange,
    { actorName, subject, now }: Judged,
    revision: string,
    details: { from: string | null; to: string | null; version: string | null },
  ): void {
    const actor = { actorId: tokenId, actorName, address }
    audit.append([{ action: 'tag', ...actor, subject, revision, outcome: 'ok', details }], now)
  }

  return { moveTag: transaction(db, moveTag), deleteTag: transaction(db, deleteTag) }
}
