// What callers change about a checkpoint besides publishing, and what becomes of it. Plain data, like the rest of the
// ledger's interface.

import type { PolicyLevels, PolicyRules, Role } from './ledger.ts'

/** Who asks for a change. Role and scope are judged inside the change's transaction, which enters who it was. */
export interface Actor {
  readonly tokenId: string
  /** Those that may. */
  readonly roles: readonly Role[]
  readonly address: string | undefined
}

/** The token ended meanwhile, or doesn't reach. */
export interface Denied {
  readonly outcome: 'unauthenticated' | 'forbidden'
}

/** Any kind of ref of a checkpoint, which may lead nowhere. */
export interface CheckpointRef {
  readonly owner: string
  readonly name: string
  readonly ref: string
}

export interface PolicyChange extends Actor {
  readonly owner: string
  /** Undefined for the owner's own policy. */
  readonly name: string | undefined
  /** All that this level says from now on. */
  readonly rules: PolicyRules
  /** What must be there, available and in the token's scope, for the rules to make sense. */
  readonly mustResolve: CheckpointRef | undefined
}

/** `levels` is what holds from now on. */
export type PolicyOutcome =
  | { readonly outcome: 'set' | 'unchanged'; readonly levels: PolicyLevels }
  | { readonly outcome: 'ref_missing' }
  | Denied
