import type { Principal } from '../access/principal.ts'
import { RegistryError } from '../errors.ts'
import { parseOwner } from '../registry/names.ts'

/** Where neither scope nor name of a token gives an owner. */
const NOBODY = 'strongroom-user'

/** The owner under which clients put a repository that was named without one. */
export function namespaceOf({ scope, name }: Pick<Principal, 'scope' | 'name'>): string {
  const [owner = '*'] = scope.split('/')
  if (owner !== '*') return owner
  try {
    return parseOwner(name)
  } catch (error) {
    if (error instanceof RegistryError) return NOBODY
    throw error
  }
}
