import type { Database } from 'better-sqlite3'
import { writeAudit } from './audit.ts'
import type {
  CheckpointRef,
  PolicyChange,
  PolicyLevels,
  PolicyOutcome,
  PolicyRules,
  StoredPolicy,
  TagChange,
} from './changes.ts'
import { readCheckpoints } from './checkpoints.ts'
import { transaction } from './connect.ts'
import { permits } from './permit.ts'
import type { Role } from './ledger.ts'
import { storedObject } from './stored-json.ts'
import { LATEST } from './tags.ts'
import { readTokens } from './tokens.ts'
import { readVersions } from './versions.ts'

interface PolicyRow {
  rules: string
  serial: number
}

/** The name under which an owner's own policy is kept. */
const OWNER_LEVEL = ''
/** In place of a name it is reached by those scopes alone that reach every checkpoint of the owner. */
const EVERY_NAME = '*'

const rulesOf = (row: PolicyRow): PolicyRules => storedObject(row.rules, "a policy's rules")

export function readPolicies(db: Database) {
  const find = db.prepare<{ owner: string; name: string }, PolicyRow>(
    'SELECT rules, serial FROM policies WHERE owner = @owner AND name = @name',
  )
  const level = (owner: string, name: string): StoredPolicy | undefined => {
    const row = find.get({ owner, name })
    return row && { rules: rulesOf(row), serial: row.serial }
  }
  return (owner: string, name?: string): PolicyLevels => ({
    owner: level(owner, OWNER_LEVEL),
    checkpoint: name === undefined ? undefined : level(owner, name),
  })
}

/**
 * Whether the nearest level that says anything of protected tags names this one. GLOB tells cases apart, as tags do.
 * `asVersion` asks whether the name is kept from versions too, or the first writer would take it for good: a pattern of
 * nothing but stars keeps none, since every version has some name.
 */
export function tagProtection(db: Database) {
  const patterns = (name: string): string =>
    `(SELECT rules -> 'protected_tags' FROM policies WHERE owner = @owner AND name = ${name})`
  const find = (condition: string) =>
    db
      .prepare<{ owner: string; name: string; tag: string }, number>(
        `SELECT EXISTS (SELECT 1 FROM json_each(coalesce(${patterns('@name')}, ${patterns(`'${OWNER_LEVEL}'`)}))
         WHERE @tag GLOB value AND ${condition})`,
      )
      .pluck()
  const asTag = find('true')
  const asVersion = find("value GLOB '*[^*]*'")
  const isTagProtected = (owner: string, name: string, tag: string): boolean =>
    asTag.get({ owner, name, tag }) === 1
  return {
    asTag: isTagProtected,
    /** Whether the change is one that its role may not make: of the server's own tag nobody may. */
    fromChange: (
      { owner, name, tag, rolesIfProtected, isProtected }: TagChange,
      role: Role,
    ): boolean =>
      tag === LATEST ||
      (!rolesIfProtected.includes(role) && (isProtected || isTagProtected(owner, name, tag))),
    asVersion: (owner: string, name: string, version: string): boolean =>
      asVersion.get({ owner, name, tag: version }) === 1,
  }
}

export function writePolicies(db: Database) {
  const put = db.prepare<{
    owner: string
    name: string
    rules: string
    now: string
    actorName: string
  }>(
    `INSERT INTO policies (owner, name, rules, serial, changed_at, changed_by)
     VALUES (@owner, @name, @rules, (SELECT coalesce(max(serial), 0) + 1 FROM policies), @now, @actorName)
     ON CONFLICT (owner, name) DO UPDATE SET
       rules = @rules, serial = excluded.serial, changed_at = @now, changed_by = @actorName`,
  )
  return (policy: Parameters<typeof put.run>[0]): void => {
    put.run(policy)
  }
}

/** The transaction that replaces all that one level says. What it says already changes and enters nothing. */
export function policyTransaction(db: Database, key: Uint8Array | undefined) {
  const permit = permits(db)
  const tokens = readTokens(db)
  const versions = readVersions(db)
  const checkpoints = readCheckpoints(db)
  const levelsOf = readPolicies(db)
  const put = writePolicies(db)
  const audit = writeAudit(db, key)

  function isThere(
    tokenId: string | undefined,
    { owner, name, ref }: CheckpointRef,
    now: string,
  ): boolean {
    if (tokenId !== undefined && tokens.grant(tokenId, owner, name, now)?.inScope !== 1)
      return false
    return versions.resolve(owner, name, ref)?.version.state === 'available'
  }

  /** In the spelling of the checkpoint, if there is one. */
  function subjectOf(owner: string, name: string | undefined): string {
    if (name === undefined) return owner
    const known = checkpoints.find(owner, name)
    return known === undefined ? `${owner}/${name}` : `${known.owner}/${known.name}`
  }

  function setPolicy(change: PolicyChange): PolicyOutcome {
    const { tokenId, address, owner, name, rules, mustResolve } = change
    const now = new Date().toISOString()
    const permitted = permit(change, owner, name ?? EVERY_NAME, now)
    if (permitted.outcome !== 'permitted') return permitted
    if (mustResolve !== undefined && !isThere(tokenId, mustResolve, now))
      return { outcome: 'ref_missing' }

    const before = levelsOf(owner, name)
    const replaced = (name === undefined ? before.owner : before.checkpoint)?.rules
    const text = JSON.stringify(rules)
    if (replaced !== undefined && JSON.stringify(replaced) === text)
      return { outcome: 'unchanged', levels: before }
    const { actorName } = permitted
    put({ owner, name: name ?? OWNER_LEVEL, rules: text, now, actorName })
    const details = { rules, replaced: replaced ?? null }
    const actor = { actorId: tokenId, actorName, address }
    const subject = subjectOf(owner, name)
    audit.append([{ action: 'policy', ...actor, subject, outcome: 'ok', details }], now)
    return { outcome: 'set', levels: levelsOf(owner, name) }
  }

  return transaction(db, setPolicy)
}
