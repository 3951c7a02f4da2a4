import type { Database } from 'better-sqlite3'
import { join } from 'node:path'
import { readAudit } from './audit.ts'
import { readBlobs } from './blobs.ts'
import { readCheckpoints } from './checkpoints.ts'
import { connectReader, createPrivate, refusalOf } from './connect.ts'
import type { AuditHead, Ledger, LedgerOptions } from './ledger.ts'
import { lockFor } from './lock.ts'
import { readPolicies } from './policies.ts'
import { readTensorNames, readTensors } from './tensors.ts'
import { readTokens } from './tokens.ts'
import { vaultBinding } from './vault-binding.ts'
import { verifyAudit } from './verify-audit.ts'
import { readVersions } from './versions.ts'
import { transferable } from './wire.ts'
import { startWriter, type Writer } from './writer-thread.ts'

/*
 * FOLDER/strongroom.db        the ledger (mode 0600), with its -wal and -shm while it is open
 * FOLDER/lock.db              locked by the one server that may write
 *
 *   main thread    look-ups, on a read-only connection: microseconds
 *        │ call, arrays transferred     ▲ result or error, as data
 *        ▼                              │
 *   writer thread  every transaction, on the only writing connection, one after the other
 */

/**
 * Opens the ledger in a folder, makes one in an empty folder, or brings an older one up to date.
 *
 * @throws LedgerRefused when another server has it open, when it is damaged, another program's or a newer release's,
 *   when it can't be written, or when the audit key doesn't fit
 */
export async function openLedger({ folder, auditKey }: LedgerOptions): Promise<Ledger> {
  const file = join(folder, 'strongroom.db')
  // A copy of its own: a view may lie in memory that holds more than the key.
  const key = auditKey && Uint8Array.from(auditKey)
  const unlock = lockFor('ledger', join(folder, 'lock.db'))
  try {
    createPrivate(file)
    const writer = await startWriter({ file, auditKey: key })
    try {
      return ledgerOf(connectReader(file), key, writer, unlock)
    } catch (error) {
      await writer.ask('close', [])
      throw error
    }
  } catch (error) {
    unlock()
    throw refusalOf(error, file)
  }
}

function ledgerOf(
  db: Database,
  key: Uint8Array | undefined,
  writer: Writer,
  unlock: () => void,
): Ledger {
  const tokens = readTokens(db)
  const versions = readVersions(db)
  const checkpoints = readCheckpoints(db)
  const blobs = readBlobs(db)
  const tensorsOf = readTensors(db)
  const tensorNames = readTensorNames(db)
  const policies = readPolicies(db)
  const audit = readAudit(db)
  const vault = vaultBinding(db)
  const now = () => new Date().toISOString()
  let closing: Promise<void> | undefined

  /** A look-up as a promise, in one snapshot however many statements it takes: what it throws is a rejection. */
  const look = <A extends unknown[], R>(lookUp: (...args: A) => R) => {
    const inOneSnapshot = db.transaction(lookUp)
    return (...args: A): Promise<R> =>
      new Promise((resolve) => {
        resolve(inOneSnapshot(...args))
      })
  }
  const ask: Writer['ask'] = (...call) =>
    closing === undefined ? writer.ask(...call) : Promise.reject(new Error('the ledger is closed'))

  function auditHead(): AuditHead {
    const head = audit.head()
    if (head === undefined) throw new Error('the audit log has no head')
    return { seq: head.seq, hash: head.hash, mac: head.mac }
  }

  async function close(): Promise<void> {
    try {
      // Behind everything asked before, so all of it is done; with no reader left, the log goes away too.
      await writer.ask('ping', [])
      db.close()
      await writer.ask('close', [])
    } finally {
      db.close()
      await writer.ended
      unlock()
    }
  }

  return {
    findToken: look((sha256) => tokens.find(sha256)),
    listTokens: look(tokens.list),
    createToken: (token, note) => ask('createToken', [token, note]),
    revokeToken: (id, note) => ask('revokeToken', [id, note]),

    publish: (publication) => ask('publish', [publication], transferable(publication)),
    resolve: look((...ref) => versions.resolve(...ref)),
    filesOf: look(blobs.filesOf),
    tensorsOf: look(tensorsOf),
    tensorNames: look(tensorNames),
    checkpoint: look((owner, name) => checkpoints.overview(owner, name)),
    checkpoints: look((query) => checkpoints.list(query)),

    policies: look((owner, name) => policies(owner, name)),

    blobHeldBy: look((tokenId, sha256) => blobs.heldBy(tokenId, sha256, now())),
    blob: look(blobs.get),
    leafPage: look(blobs.leafPage),
    hasVaultId: look(blobs.hasVaultId),
    quarantine: (vaultId, note) => ask('quarantine', [vaultId, note]),

    vaultIdentity: look(vault.identity),
    bindVault: (identity) => ask('bindVault', [identity]),

    appendAudit: (notes) => ask('appendAudit', [notes]),
    audit: look(audit.page),
    auditHead: look(auditHead),
    verifyAudit: () => verifyAudit(audit, key),

    ping: () => ask('ping', []),
    close: () => (closing ??= close()),
  }
}
