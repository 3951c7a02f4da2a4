import type { Role } from '../../db/ledger.ts'

export type Action =
  /** Download, verify, and whatever else gives out weights. */
  | 'read'
  /** Publish, move unprotected tags, scan. */
  | 'publish'
  /** List and describe: everything about a checkpoint but its weights. */
  | 'describe'
  | 'audit'
  /** Tokens, policy, protected tags, withdrawal. */
  | 'admin'
  | 'metrics'
  | 'detect'

const ALLOWED: Readonly<Record<Role, readonly Action[]>> = {
  reader: ['describe', 'read', 'metrics'],
  writer: ['describe', 'read', 'metrics', 'publish'],
  detector: ['detect'],
  auditor: ['describe', 'audit', 'metrics'],
  admin: ['describe', 'read', 'metrics', 'publish', 'audit', 'detect', 'admin'],
}

/** Whether the role reaches the action; where it may do so is its scope's business. */
export function may(role: Role, action: Action): boolean {
  return ALLOWED[role].includes(action)
}
