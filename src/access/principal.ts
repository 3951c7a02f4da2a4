import type { Denied } from '../../db/changes.ts'
import type { Ledger, Role, Token } from '../../db/ledger.ts'
import { RegistryError } from '../errors.ts'
import { type CheckpointName, scopeCovers } from '../registry/names.ts'
import { notFound } from '../registry/resolve.ts'
import { type Action, may } from './roles.ts'
import { parseBearer, tokenDigest } from './tokens.ts'

/** Whoever a request comes from, as its token says. */
export interface Principal {
  readonly tokenId: string
  readonly name: string
  readonly role: Role
  readonly scope: string
}

/** The server itself, for what it publishes and tags by its own: no token leads to it. */
export const SERVER = { tokenId: undefined, name: 'strongroom' } as const

/** Who publishes or moves a tag. */
export type Doer = Principal | typeof SERVER

export type Authentication =
  | { readonly kind: 'known'; readonly principal: Principal; readonly token: Token }
  /** No credentials were sent. */
  | { readonly kind: 'none' }
  /** A token was sent that is malformed, unknown, expired or revoked: which of them is nobody's business. */
  | { readonly kind: 'bad' }

/** Looks the digest of the token up: the secret itself is never compared, and the ledger doesn't hold it. */
export async function authenticate(
  ledger: Ledger,
  authorization: string | undefined,
): Promise<Authentication> {
  const bearer = parseBearer(authorization)
  if (bearer.kind !== 'token') return { kind: bearer.kind === 'none' ? 'none' : 'bad' }
  const token = await ledger.findToken(tokenDigest(bearer.token))
  if (token === undefined || !isAlive(token, new Date())) return { kind: 'bad' }
  const { id: tokenId, name, role, scope } = token
  return { kind: 'known', principal: { tokenId, name, role, scope }, token }
}

/** Whoever holds the token of this id, while it is good. */
export async function principalById(
  ledger: Ledger,
  tokenId: string,
): Promise<Principal | undefined> {
  const token = await ledger.token(tokenId)
  if (token === undefined || !isAlive(token, new Date())) return undefined
  const { name, role, scope } = token
  return { tokenId, name, role, scope }
}

const isAlive = ({ revokedAt, expiresAt }: Token, now: Date): boolean =>
  revokedAt === undefined && (expiresAt === undefined || now < new Date(expiresAt))

/** @throws {RegistryError} FORBIDDEN when the role doesn't reach. */
export function requireRole(principal: Principal, action: Action): void {
  if (may(principal.role, action)) return
  throw forbidden(`The role ${principal.role} may not do this.`)
}

/**
 * Out of scope, a read finds nothing and a write is refused, whether or not the name exists.
 *
 * @throws {RegistryError} NOT_FOUND or FORBIDDEN.
 */
export function requireScope(
  principal: Principal,
  checkpoint: CheckpointName,
  action: 'read' | 'write',
): void {
  if (scopeCovers(principal.scope, checkpoint)) return
  throw action === 'read'
    ? notFound('checkpoint')
    : forbidden('The token’s scope does not reach this checkpoint.')
}

/** For a change whose token turned out, inside its transaction, to have ended or not to reach. */
export const denied = (outcome: Denied['outcome'], sentence: string): RegistryError =>
  outcome === 'forbidden'
    ? forbidden(sentence)
    : new RegistryError('UNAUTHENTICATED', 'The token has ended.')

export const forbidden = (sentence: string): RegistryError =>
  new RegistryError('FORBIDDEN', sentence)
