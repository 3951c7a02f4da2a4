import type { Database } from 'better-sqlite3'
import { join } from 'node:path'
import { connectReader, createPrivate, refusalOf } from './connect.ts'
import type { Ledger, LedgerOptions } from './ledger.ts'
import { lockFor } from './lock.ts'
import { lookUpsOf } from './look-ups.ts'
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
  let closing: Promise<void> | undefined

  const ask: Writer['ask'] = (...call) =>
    closing === undefined ? writer.ask(...call) : Promise.reject(new Error('the ledger is closed'))

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
    ...lookUpsOf(db, key),

    createToken: (token, note) => ask('createToken', [token, note]),
    revokeToken: (id, note) => ask('revokeToken', [id, note]),
    withdraw: (withdrawal) => ask('withdraw', [withdrawal]),
    setPolicy: (change) => ask('setPolicy', [change]),
    moveTag: (move) => ask('moveTag', [move]),
    deleteTag: (change) => ask('deleteTag', [change]),
    publish: (publication) => ask('publish', [publication], transferable(publication.files)),
    createCheckpoint: (change) => ask('createCheckpoint', [change]),
    deleteCheckpoint: (change) => ask('deleteCheckpoint', [change]),
    startBranch: (change) => ask('startBranch', [change]),
    dropBranch: (change) => ask('dropBranch', [change]),
    stageUpload: (upload) => ask('stageUpload', [upload], transferable([upload.file])),
    collectUploads: (now) => ask('collectUploads', [now]),
    quarantine: (vaultId, note) => ask('quarantine', [vaultId, note]),
    bindVault: (identity) => ask('bindVault', [identity]),
    settleRestored: (note) => ask('settleRestored', [note]),
    appendAudit: (notes) => ask('appendAudit', [notes]),

    ping: () => ask('ping', []),
    close: () => (closing ??= close()),
  }
}
