import type { Database } from 'better-sqlite3'
import type { HistoryEntry } from './changes.ts'

/**
 * How a version came about, newest first: each was built upon the next. One that was published without naming its parent
 * follows the version on main before it.
 */
export function readHistory(db: Database) {
  const get = db.prepare<{ id: number }, HistoryEntry>(
    `SELECT v.version, lower(hex(v.revision)) AS revision, v.created_at AS createdAt,
       v.created_by AS createdBy, coalesce(c.summary, 'Publish ' || v.version) AS summary,
       coalesce(c.description, '') AS description
     FROM versions v LEFT JOIN commits c ON c.version = v.id WHERE v.id = @id`,
  )
  const parent = db
    .prepare<{ id: number }, number | null>(
      `SELECT CASE WHEN c.version IS NOT NULL THEN c.parent ELSE
         (SELECT max(p.id) FROM versions p
          WHERE p.checkpoint = v.checkpoint AND p.id < v.id AND p.is_side = 0) END
       FROM versions v LEFT JOIN commits c ON c.version = v.id WHERE v.id = @id`,
    )
    .pluck()

  return function history(
    versionId: number,
    { skip, limit }: { readonly skip: number; readonly limit: number },
  ): readonly HistoryEntry[] {
    const entries: HistoryEntry[] = []
    let next: number | null | undefined = versionId
    for (let at = 0; typeof next === 'number' && at < skip + limit; at++) {
      if (at >= skip) {
        const row = get.get({ id: next })
        if (row === undefined) break
        entries.push(row)
      }
      next = parent.get({ id: next })
    }
    return entries
  }
}
