import type { Database } from 'better-sqlite3'
import type { Tag } from './changes.ts'

/** The tag that the server keeps: the last admitted version that is available. */
export const LATEST = 'latest'

/** A tag, and the row of the version that it names. */
interface TagRow extends Tag {
  readonly versionId: number
}

export function readTags(db: Database) {
  const find = db.prepare<{ checkpoint: number; tag: string }, TagRow>(
    `SELECT v.id AS versionId, v.version, lower(hex(v.revision)) AS revision, t.moved_at AS movedAt
     FROM tags t JOIN versions v ON v.id = t.version WHERE t.checkpoint = @checkpoint AND t.tag = @tag`,
  )
  return {
    find: (checkpoint: number, tag: string): TagRow | undefined => find.get({ checkpoint, tag }),
  }
}

export function writeTags(db: Database) {
  const move = db.prepare<{ checkpoint: number; tag: string; version: number; now: string }>(
    `INSERT INTO tags (checkpoint, tag, version, moved_at) VALUES (@checkpoint, @tag, @version, @now)
     ON CONFLICT (checkpoint, tag) DO UPDATE SET version = @version, moved_at = @now`,
  )
  const remove = db.prepare<{ checkpoint: number; tag: string }>(
    'DELETE FROM tags WHERE checkpoint = @checkpoint AND tag = @tag',
  )
  return {
    /** Makes the tag when there is none. */
    move(checkpoint: number, tag: string, version: number, now: string): void {
      move.run({ checkpoint, tag, version, now })
    },
    remove(checkpoint: number, tag: string): void {
      remove.run({ checkpoint, tag })
    },
  }
}
