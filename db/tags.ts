import type { Database } from 'better-sqlite3'
import type { Tag, TagKind } from './changes.ts'

/** The tag that the server keeps: the last admitted version that is available. */
export const LATEST = 'latest'

/** A tag, and the row of the version that it names. */
interface TagRow extends Tag {
  readonly versionId: number
  readonly kind: TagKind
}

export function readTags(db: Database) {
  const find = db.prepare<{ checkpoint: number; tag: string }, TagRow>(
    `SELECT v.id AS versionId, v.version, lower(hex(v.revision)) AS revision, t.moved_at AS movedAt, t.kind
     FROM tags t JOIN versions v ON v.id = t.version WHERE t.checkpoint = @checkpoint AND t.tag = @tag`,
  )
  return {
    find: (checkpoint: number, tag: string): TagRow | undefined => find.get({ checkpoint, tag }),
  }
}

export function writeTags(db: Database) {
  const move = db.prepare<{
    checkpoint: number
    tag: string
    version: number
    now: string
    kind: TagKind
  }>(
    `INSERT INTO tags (checkpoint, tag, version, moved_at, kind)
     VALUES (@checkpoint, @tag, @version, @now, @kind)
     ON CONFLICT (checkpoint, tag) DO UPDATE SET version = @version, moved_at = @now`,
  )
  const remove = db.prepare<{ checkpoint: number; tag: string }>(
    'DELETE FROM tags WHERE checkpoint = @checkpoint AND tag = @tag',
  )
  const removeAll = ['tags', 'new_branches'].map((table) =>
    db.prepare<{ checkpoint: number }>(`DELETE FROM ${table} WHERE checkpoint = @checkpoint`),
  )
  return {
    /** Makes the tag, of that kind, when there is none. */
    move(
      checkpoint: number,
      tag: string,
      version: number,
      now: string,
      kind: TagKind = 'tag',
    ): void {
      move.run({ checkpoint, tag, version, now, kind })
    },
    /** Of a checkpoint, branches without a version too. */
    removeAll(checkpoint: number): void {
      for (const statement of removeAll) statement.run({ checkpoint })
    },
    remove(checkpoint: number, tag: string): void {
      remove.run({ checkpoint, tag })
    },
  }
}
