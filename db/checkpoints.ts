import type { Database } from 'better-sqlite3'
import type { CheckpointOverview, CheckpointQuery, CheckpointSummary } from './ledger.ts'
import { LATEST } from './tags.ts'
import { covers } from './tokens.ts'

interface CheckpointRow {
  id: number
  owner: string
  name: string
  created_at: string
}

interface SummaryRow {
  owner: string
  name: string
  createdAt: string
  versions: number
  latest: string | null
}

/** Sorts after every character of a name, which is ASCII. */
const AFTER_NAMES = '\x7f'

/** `owner/name`, where the name, or both, may be missing. */
function partsOf(text = ''): { owner: string; name: string | undefined } {
  const slash = text.indexOf('/')
  return slash < 0
    ? { owner: text, name: undefined }
    : { owner: text.slice(0, slash), name: text.slice(slash + 1) }
}

/** The owners among which a listing can have any result: so much of the index is read, and no more. */
function ownersOf({ scope, owner, prefix, after }: CheckpointQuery): { from: string; to: string } {
  const exact = scope === '*' ? owner : (owner ?? partsOf(scope).owner)
  const begin = partsOf(prefix)
  const bounds = [
    { from: partsOf(after).owner, to: AFTER_NAMES },
    { from: begin.owner, to: begin.name === undefined ? begin.owner + AFTER_NAMES : begin.owner },
    ...(exact === undefined ? [] : [{ from: exact, to: exact }]),
  ].map(({ from, to }) => ({ from: from.toLowerCase(), to: to.toLowerCase() }))
  return bounds.reduce((all, one) => ({
    from: all.from > one.from ? all.from : one.from,
    to: all.to < one.to ? all.to : one.to,
  }))
}

export function readCheckpoints(db: Database) {
  const find = db.prepare<{ owner: string; name: string }, CheckpointRow>(
    'SELECT id, owner, name, created_at FROM checkpoints WHERE owner = @owner AND name = @name',
  )
  const versions = db.prepare<{ id: number }, CheckpointOverview['versions'][number]>(
    `SELECT version, lower(hex(revision)) AS revision, state, created_at AS createdAt,
       created_by AS createdBy, size
     FROM versions WHERE checkpoint = @id ORDER BY id`,
  )
  const tags = db.prepare<{ id: number }, { tag: string; version: string }>(
    `SELECT t.tag, v.version FROM tags t JOIN versions v ON v.id = t.version
     WHERE t.checkpoint = @id ORDER BY t.tag`,
  )
  // The unary pluses leave the search to the bounds on the owner; they keep the columns' collation.
  const list = db.prepare<
    {
      from: string
      to: string
      afterOwner: string
      afterName: string
      scope: string
      prefix: string
      limit: number
    },
    SummaryRow
  >(
    `SELECT c.owner, c.name, c.created_at AS createdAt,
       (SELECT count(*) FROM versions WHERE checkpoint = c.id) AS versions,
       (SELECT v.version FROM tags t JOIN versions v ON v.id = t.version
        WHERE t.checkpoint = c.id AND t.tag = '${LATEST}' AND v.state = 'available') AS latest
     FROM checkpoints c
     WHERE c.owner BETWEEN @from AND @to AND (+c.owner, +c.name) > (@afterOwner, @afterName)
       AND ${covers('@scope', 'c.owner', 'c.name')}
       AND substr(c.owner || '/' || c.name, 1, length(@prefix)) = @prefix COLLATE NOCASE
       AND EXISTS (SELECT 1 FROM versions WHERE checkpoint = c.id)
     ORDER BY c.owner, c.name LIMIT @limit`,
  )
  return {
    find: (owner: string, name: string): CheckpointRow | undefined => find.get({ owner, name }),
    overview(owner: string, name: string): CheckpointOverview | undefined {
      const row = find.get({ owner, name })
      return (
        row && {
          owner: row.owner,
          name: row.name,
          createdAt: row.created_at,
          versions: versions.all({ id: row.id }),
          tags: Object.fromEntries(tags.all({ id: row.id }).map((t) => [t.tag, t.version])),
        }
      )
    },
    list(query: CheckpointQuery): readonly CheckpointSummary[] {
      const after = partsOf(query.after)
      const { scope, prefix = '', limit } = query
      const keyset = { afterOwner: after.owner, afterName: after.name ?? '' }
      const rows = list.all({ ...ownersOf(query), ...keyset, scope, prefix, limit })
      return rows.map((row) => ({ ...row, latest: row.latest ?? undefined }))
    },
  }
}

export function writeCheckpoints(db: Database) {
  const insert = db
    .prepare<{ owner: string; name: string; now: string }, number>(
      'INSERT INTO checkpoints (owner, name, created_at) VALUES (@owner, @name, @now) RETURNING id',
    )
    .pluck()
  return {
    insert(owner: string, name: string, now: string): number {
      const id = insert.get({ owner, name, now })
      if (id === undefined) throw new Error('a checkpoint got no row')
      return id
    },
  }
}
