import type { Database } from 'better-sqlite3'
import { readAudit } from './audit.ts'
import type { Tag, TagHistory, TagHistoryQuery } from './changes.ts'
import { readCheckpoints } from './checkpoints.ts'
import { LATEST, readTags } from './tags.ts'

/** Look-ups of a tag by the names that callers give it. */
export function lookUpTags(db: Database) {
  const checkpoints = readCheckpoints(db)
  const tags = readTags(db)
  const audit = readAudit(db)

  const tag = (owner: string, name: string, tag: string): Tag | undefined => {
    const checkpoint = checkpoints.find(owner, name)
    const found = checkpoint && tags.find(checkpoint.id, tag)
    return found && { version: found.version, revision: found.revision, movedAt: found.movedAt }
  }

  const history = (query: TagHistoryQuery): TagHistory | undefined => {
    const { owner, name, tag, before = Number.MAX_SAFE_INTEGER, limit } = query
    const checkpoint = checkpoints.find(owner, name)
    if (checkpoint === undefined) return undefined
    const of = `${checkpoint.owner}/${checkpoint.name}`
    return tag === LATEST
      ? audit.ofLatest(of, before, limit)
      : audit.ofTag(`${of}@${tag}`, before, limit)
  }

  return { tag, history }
}
