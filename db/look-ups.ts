import type { Database } from 'better-sqlite3'
import { readAudit } from './audit.ts'
import { readBlobs } from './blobs.ts'
import { readCheckpoints } from './checkpoints.ts'
import { readHistory } from './history.ts'
import type { AuditHead, Ledger } from './ledger.ts'
import { markOf } from './mark.ts'
import { readPolicies } from './policies.ts'
import { lookUpTags } from './tag-history.ts'
import { readNamedTensors, readTensorNames, readTensorPages, readTensors } from './tensors.ts'
import { readTokens } from './tokens.ts'
import { vaultBinding } from './vault-binding.ts'
import { verifyAudit } from './verify-audit.ts'
import { readVersions } from './versions.ts'

/** All of a ledger that writes nothing: what a snapshot has too. */
export type LookUps = ReturnType<typeof lookUpsOf>

/** The methods of a ledger that need no more than a connection for reading. */
export function lookUpsOf(db: Database, key: Uint8Array | undefined) {
  const tokens = readTokens(db)
  const versions = readVersions(db)
  const checkpoints = readCheckpoints(db)
  const blobs = readBlobs(db)
  const tensorsOf = readTensors(db)
  const tensorsNamed = readNamedTensors(db)
  const tensorPage = readTensorPages(db)
  const tensorNames = readTensorNames(db)
  const policies = readPolicies(db)
  const history = readHistory(db)
  const tags = lookUpTags(db)
  const audit = readAudit(db)
  const vault = vaultBinding(db)
  const now = () => new Date().toISOString()

  /** A look-up as a promise, in one snapshot however many statements it takes: what it throws is a rejection. */
  const look = <A extends unknown[], R>(lookUp: (...args: A) => R) => {
    const inOneSnapshot = db.transaction(lookUp)
    return (...args: A): Promise<R> =>
      new Promise((resolve) => {
        resolve(inOneSnapshot(...args))
      })
  }

  function auditHead(): AuditHead {
    const head = audit.head()
    if (head === undefined) throw new Error('the audit log has no head')
    return { seq: head.seq, hash: head.hash, mac: head.mac }
  }

  return {
    findToken: look((sha256) => tokens.find(sha256)),
    token: look((id) => tokens.get(id)),
    listTokens: look(tokens.list),

    resolve: look((...ref) => versions.resolve(...ref)),
    filesOf: look(blobs.filesOf),
    tensorsOf: look(tensorsOf),
    tensorsNamed: look(tensorsNamed),
    tensorPage: look(tensorPage),
    tensorNames: look(tensorNames),
    checkpoint: look((owner, name) => checkpoints.overview(owner, name)),
    checkpoints: look((query) => checkpoints.list(query)),
    history: look(history),

    policies: look((owner, name) => policies(owner, name)),

    tag: look(tags.tag),
    tagHistory: look(tags.history),

    blobHeldBy: look((token, sha256, { owner, name }) =>
      blobs.heldBy(sha256, { token, owner, name, now: now() }),
    ),
    blob: look(blobs.get),
    blobOf: look(blobs.ofContent),
    leafPage: look(blobs.leafPage),
    hasVaultId: look(blobs.hasVaultId),

    vaultIdentity: look(vault.identity),
    isRestored: look(() => markOf(db) === 'restored'),

    audit: look(audit.page),
    auditHead: look(auditHead),
    verifyAudit: () => verifyAudit(audit, key),
  } satisfies Partial<Ledger>
}
