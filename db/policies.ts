import type { Database } from 'better-sqlite3'
import type { PolicyLevels, PolicyRules, StoredPolicy } from './ledger.ts'

interface PolicyRow {
  rules: string
  serial: number
}

/** The name under which an owner's own policy is kept. */
export const OWNER_LEVEL = ''

const policyOf = ({ rules, serial }: PolicyRow): StoredPolicy => ({
  rules: JSON.parse(rules) as PolicyRules,
  serial,
})

export function readPolicies(db: Database) {
  const find = db.prepare<{ owner: string; name: string }, PolicyRow>(
    'SELECT rules, serial FROM policies WHERE owner = @owner AND name = @name',
  )
  const level = (owner: string, name: string): StoredPolicy | undefined => {
    const row = find.get({ owner, name })
    return row && policyOf(row)
  }
  return (owner: string, name?: string): PolicyLevels => ({
    owner: level(owner, OWNER_LEVEL),
    checkpoint: name === undefined ? undefined : level(owner, name),
  })
}
