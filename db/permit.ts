import type { Database } from 'better-sqlite3'
import type { Actor, Denied } from './changes.ts'
import type { Role } from './ledger.ts'
import { readTokens } from './tokens.ts'

interface Permit {
  readonly outcome: 'permitted'
  readonly actorName: string
  readonly role: Role
}

/** Of versions that the server published by itself. */
const SERVER = 'strongroom'

/**
 * Whether a token may change a checkpoint here and now. For the inside of the change's transaction and nowhere else,
 * so that a revoked token can't slip in between check and change.
 */
export function permits(db: Database) {
  const { grant } = readTokens(db)
  return function permit(
    { tokenId, roles }: Actor,
    owner: string,
    name: string,
    now: string,
  ): Permit | Denied {
    if (tokenId === undefined) return { outcome: 'permitted', actorName: SERVER, role: 'admin' }
    const found = grant(tokenId, owner, name, now)
    if (found?.alive !== 1) return { outcome: 'unauthenticated' }
    if (found.inScope !== 1 || !roles.includes(found.role)) return { outcome: 'forbidden' }
    return { outcome: 'permitted', actorName: found.name, role: found.role }
  }
}
