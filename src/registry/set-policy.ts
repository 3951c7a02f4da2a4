import type { PolicyRules } from '../../db/changes.ts'
import type { Ledger } from '../../db/ledger.ts'
import { denied, type Principal } from '../access/principal.ts'
import { invalidField, RegistryError } from '../errors.ts'
import { effective, type Policy } from './policy.ts'
import { mustResolve } from './tensors-ref.ts'

/** Both levels are read at every publish, and entered in the audit log with every change. */
const MAX_RULES_BYTES = 32 * 1024

/** Whose policy: an owner's own where there is no name. */
export interface PolicyLevel {
  readonly owner: string
  readonly name?: string
}

/**
 * Replaces all that one level says. Whether its keys and types are right is known by now.
 *
 * @returns what is in force there from now on.
 * @throws {RegistryError} INVALID_REQUEST, INVALID_NAME, TOO_LARGE, FORBIDDEN, UNAUTHENTICATED.
 */
export async function setPolicy(
  ledger: Ledger,
  { tokenId }: Principal,
  address: string,
  { owner, name }: PolicyLevel,
  rules: PolicyRules,
): Promise<Policy> {
  if (rules.require_signature === true)
    throw invalidField('body.require_signature', 'can’t be asked for: there are no signatures yet')
  if (Buffer.byteLength(JSON.stringify(rules)) > MAX_RULES_BYTES)
    throw new RegistryError('TOO_LARGE', 'The policy is too large.', { limit: MAX_RULES_BYTES })
  const sameAs = rules.same_tensors_as ?? undefined
  const checkpoint = name === undefined ? undefined : { owner, name }
  const outcome = await ledger.setPolicy({
    tokenId,
    roles: ['admin'],
    address,
    owner,
    name,
    rules,
    mustResolve: sameAs === undefined ? undefined : mustResolve(sameAs, checkpoint),
  })
  if ('levels' in outcome) return effective(outcome.levels)
  if (outcome.outcome === 'ref_missing')
    throw invalidField('body.same_tensors_as', 'must lead to a version that is available')
  throw denied(outcome.outcome, 'This token may not set this policy.')
}
