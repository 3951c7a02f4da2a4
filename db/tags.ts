import type { Database } from 'better-sqlite3'

/** The tag that the server keeps: the last admitted version that is available. */
export const LATEST = 'latest'

export function tagsTable(db: Database) {
  const find = db
    .prepare<{ checkpoint: number; tag: string }, number>(
      'SELECT version FROM tags WHERE checkpoint = @checkpoint AND tag = @tag',
    )
    .pluck()
  const move = db.prepare<{ checkpoint: number; tag: string; version: number; now: string }>(
    `INSERT INTO tags (checkpoint, tag, version, moved_at) VALUES (@checkpoint, @tag, @version, @now)
     ON CONFLICT (checkpoint, tag) DO UPDATE SET version = @version, moved_at = @now`,
  )
  return {
    has: (checkpoint: number, tag: string): boolean => find.get({ checkpoint, tag }) !== undefined,
    /** Makes the tag when there is none. */
    move(checkpoint: number, tag: string, version: number, now: string): void {
      move.run({ checkpoint, tag, version, now })
    },
  }
}
