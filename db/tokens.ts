import type { Database } from 'better-sqlite3'
import type { NewToken, Role, Token } from './ledger.ts'

interface TokenRow {
  id: string
  name: string
  role: Role
  scope: string
  created_at: string
  created_by: string | null
  expires_at: string | null
  revoked_at: string | null
}

/** What a token may do at this moment with one checkpoint. */
interface Grant {
  readonly name: string
  readonly role: Role
  readonly alive: 0 | 1
  readonly inScope: 0 | 1
}

/** Of a token `t` at `@now`. An expiry that is no time fails closed. */
export const ALIVE = `t.revoked_at IS NULL AND (t.expires_at IS NULL
  OR coalesce(unixepoch(t.expires_at, 'subsec') > unixepoch(@now, 'subsec'), 0))`

/**
 * Whether the scope pattern covers `owner/name`, both SQL expressions. The schema keeps every other
 * special character of GLOB out of scopes, and SQLite's lower() is ASCII's.
 */
export const covers = (pattern: string, owner: string, name: string): string =>
  `lower(${owner} || '/' || ${name}) GLOB ${pattern}`

const COLUMNS = 'id, name, role, scope, created_at, created_by, expires_at, revoked_at'

const tokenOf = (row: TokenRow): Token => ({
  id: row.id,
  name: row.name,
  role: row.role,
  scope: row.scope,
  createdAt: row.created_at,
  createdBy: row.created_by ?? undefined,
  expiresAt: row.expires_at ?? undefined,
  revokedAt: row.revoked_at ?? undefined,
})

export function readTokens(db: Database) {
  const bySecret = db.prepare<{ sha256: Uint8Array }, TokenRow>(
    `SELECT ${COLUMNS} FROM tokens WHERE sha256 = @sha256`,
  )
  const byId = db.prepare<{ id: string }, TokenRow>(`SELECT ${COLUMNS} FROM tokens WHERE id = @id`)
  const all = db.prepare<[], TokenRow>(`SELECT ${COLUMNS} FROM tokens ORDER BY rowid`)
  const grant = db.prepare<{ id: string; owner: string; name: string; now: string }, Grant>(
    `SELECT t.name, t.role, ${ALIVE} AS alive, ${covers('t.scope', '@owner', '@name')} AS inScope
     FROM tokens t WHERE t.id = @id`,
  )
  return {
    find(sha256: Uint8Array): Token | undefined {
      const row = bySecret.get({ sha256 })
      return row && tokenOf(row)
    },
    get(id: string): Token | undefined {
      const row = byId.get({ id })
      return row && tokenOf(row)
    },
    /** Oldest first; revoked and expired ones too. */
    list: (): readonly Token[] => all.all().map(tokenOf),
    grant: (id: string, owner: string, name: string, now: string): Grant | undefined =>
      grant.get({ id, owner, name, now }),
  }
}

export function writeTokens(db: Database) {
  const insert = db.prepare<Record<keyof NewToken, Uint8Array | string | null> & { now: string }>(
    `INSERT INTO tokens (id, sha256, name, role, scope, created_at, created_by, expires_at)
     VALUES (@id, @sha256, @name, @role, @scope, @now, @createdBy, @expiresAt)`,
  )
  const revoke = db.prepare<{ id: string; now: string }>(
    'UPDATE tokens SET revoked_at = @now WHERE id = @id AND revoked_at IS NULL',
  )
  return {
    insert(token: NewToken, now: string): void {
      const createdBy = token.createdBy ?? null
      insert.run({ ...token, createdBy, expiresAt: token.expiresAt ?? null, now })
    },
    /** False when it was revoked before, or there is none. */
    revoke: (id: string, now: string): boolean => revoke.run({ id, now }).changes === 1,
  }
}
