import type { Database } from 'better-sqlite3'
import type { TagKind } from './changes.ts'
import type { CheckpointOverview, CheckpointQuery, CheckpointSummary } from './ledger.ts'
import { LATEST } from './tags.ts'
import { covers } from './tokens.ts'

interface CheckpointRow {
  id: number
  owner: string
  name: string
  created_at: string
  deleted_at: string | null
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
    'SELECT id, owner, name, created_at, deleted_at FROM checkpoints WHERE owner = @owner AND name = @name',
  )
  const versions = db.prepare<{ id: number }, CheckpointOverview['versions'][number]>(
    `SELECT version, lower(hex(revision)) AS revision, state, created_at AS createdAt,
       created_by AS createdBy, size
     FROM versions WHERE checkpoint = @id ORDER BY id`,
  )
  const tags = db.prepare<{ id: number }, { tag: string; version: string; kind: TagKind }>(
    `SELECT t.tag, v.version, t.kind FROM tags t JOIN versions v ON v.id = t.version
     WHERE t.checkpoint = @id ORDER BY t.tag`,
  )
  const newBranches = db
    .prepare<{ id: number }, string>(
      'SELECT branch FROM new_branches WHERE checkpoint = @id ORDER BY branch',
    )
    .pluck()
  // The unary pluses leave the search to the bounds on the owner; they keep the columns' collation.
  const list = db.prepare<
    {
      from: string
      to: string
      afterOwner: string
      afterName: string
      scope: string
      prefix: string
      deleted: 0 | 1
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
       AND (@deleted OR c.deleted_at IS NULL)
       AND EXISTS (SELECT 1 FROM versions WHERE checkpoint = c.id)
     ORDER BY c.owner, c.name LIMIT @limit`,
  )
  return {
    find: (owner: string, name: string): CheckpointRow | undefined => find.get({ owner, name }),
    overview(owner: string, name: string): CheckpointOverview | undefined {
      const row = find.get({ owner, name })
      if (row === undefined) return undefined
      const { id } = row
      const named = tags.all({ id })
      return {
        owner: row.owner,
        name: row.name,
        createdAt: row.created_at,
        isDeleted: row.deleted_at !== null,
        versions: versions.all({ id }),
        tags: Object.fromEntries(named.map(({ tag, version }) => [tag, version])),
        branches: named.flatMap(({ tag, kind }) => (kind === 'branch' ? [tag] : [])),
        newBranches: newBranches.all({ id }),
      }
    },
    list(query: CheckpointQuery): readonly CheckpointSummary[] {
      const after = partsOf(query.after)
      const { scope, prefix = '', limit } = query
      const deleted = query.deleted === false ? 0 : 1
      const keyset = { afterOwner: after.owner, afterName: after.name ?? '' }
      const rows = list.all({ ...ownersOf(query), ...keyset, scope, prefix, deleted, limit })
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
  const setDeleted = db.prepare<{ id: number; at: string | null }>(
    'UPDATE checkpoints SET deleted_at = @at WHERE id = @id',
  )
  return {
    markDeleted(id: number, at: string): void {
      setDeleted.run({ id, at })
    },
    revive(id: number): void {
      setDeleted.run({ id, at: null })
    },
    insert(owner: string, name: string, now: string): number {
      const id = insert.get({ owner, name, now })
      if (id === undefined) throw new Error('a checkpoint got no row')
      return id
    },
  }
}
