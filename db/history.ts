import type { Database } from 'better-sqlite3'
import type { HistoryEntry } from './changes.ts'

interface Window {
  readonly skip: number
  readonly limit: number
}

/**
 * How a version came about, newest first: each was built upon the next. One that was published without naming its parent
 * follows the version on main before it.
 */
export function readHistory(db: Database) {
  const get = db.prepare<Window & { id: number }, HistoryEntry>(
    `WITH RECURSIVE line (id, at) AS (
       VALUES (@id, 0)
       UNION ALL
       SELECT CASE WHEN c.version IS NOT NULL THEN c.parent ELSE
           (SELECT max(p.id) FROM versions p
            WHERE p.checkpoint = v.checkpoint AND p.id < v.id AND p.is_side = 0) END,
         line.at + 1
       FROM line JOIN versions v ON v.id = line.id LEFT JOIN commits c ON c.version = v.id
       WHERE line.at < @skip + @limit - 1)
     SELECT v.version, lower(hex(v.revision)) AS revision, v.created_at AS createdAt,
       v.created_by AS createdBy, coalesce(c.summary, 'Publish ' || v.version) AS summary,
       coalesce(c.description, '') AS description
     FROM line JOIN versions v ON v.id = line.id LEFT JOIN commits c ON c.version = v.id
     WHERE line.at >= @skip ORDER BY line.at LIMIT @limit`,
  )
  return (id: number, { skip, limit }: Window): readonly HistoryEntry[] =>
    get.all({ id, skip, limit })
}
