// What crosses between the main thread and the writer.

import { statfsSync } from 'node:fs'
import { codeOf } from './connect.ts'
import type {
  BranchOutcome,
  CheckpointChange,
  CreateOutcome,
  DeleteOutcome,
  PolicyChange,
  PolicyOutcome,
  StagedUpload,
  StageOutcome,
  TagChange,
  TagDeleted,
  TagMove,
  TagMoved,
  TagRefusal,
  Withdrawal,
  WithdrawOutcome,
} from './changes.ts'
import { LedgerDamaged, LedgerFull, LedgerRefused } from './ledger.ts'
import type {
  AuditHead,
  AuditNote,
  NewToken,
  Publication,
  PublishOutcome,
  Token,
} from './ledger.ts'

/** All that the writer does; each is one transaction. */
export interface Transactions {
  readonly createToken: (token: NewToken, note: AuditNote) => Token
  readonly revokeToken: (id: string, note: AuditNote) => Token | undefined
  readonly publish: (publication: Publication) => PublishOutcome
  readonly withdraw: (withdrawal: Withdrawal) => WithdrawOutcome
  readonly setPolicy: (change: PolicyChange) => PolicyOutcome
  readonly moveTag: (move: TagMove) => TagMoved | TagRefusal
  readonly deleteTag: (change: TagChange) => TagDeleted | TagRefusal
  readonly createCheckpoint: (change: CheckpointChange) => CreateOutcome
  readonly deleteCheckpoint: (
    change: CheckpointChange & { readonly reason: string },
  ) => DeleteOutcome
  readonly startBranch: (change: TagChange) => BranchOutcome
  readonly dropBranch: (change: TagChange) => BranchOutcome
  readonly stageUpload: (upload: StagedUpload) => StageOutcome
  readonly collectUploads: (now: string) => readonly string[]
  readonly quarantine: (vaultId: string, note: AuditNote) => boolean
  readonly bindVault: (identity: string) => void
  readonly settleRestored: (note: AuditNote) => void
  readonly appendAudit: (notes: readonly AuditNote[]) => AuditHead
  readonly ping: () => void
  readonly close: () => void
}

export type Method = keyof Transactions
type Arguments = { readonly [M in Method]: Parameters<Transactions[M]> }
type Results = { readonly [M in Method]: ReturnType<Transactions[M]> }
export type ArgumentsOf<M extends Method> = Arguments[M]
export type ResultOf<M extends Method> = Results[M]

export interface Call<M extends Method = Method> {
  readonly id: number
  readonly method: M
  readonly args: Arguments[M]
}

/** Runs the method that a call names. */
export const perform = <M extends Method>(
  transactions: { readonly [N in Method]: (...args: Arguments[N]) => Results[N] },
  call: Call<M>,
): ResultOf<M> => transactions[call.method](...call.args)

/** The id of the reply that says whether the ledger could be opened. */
export const OPENING = 0

export type Reply =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: ErrorData }

/** An error's class doesn't survive a structured clone, nor does its code. */
interface ErrorData {
  readonly kind: 'refused' | 'damaged' | 'full' | 'other'
  readonly message: string
  readonly code: string | undefined
}

/** SQLite names a full disk where a write meets it, and an I/O error where a shared file can't grow. */
function isFull(code: string | undefined, folder: string): boolean {
  if (code === 'SQLITE_FULL' || code === 'ENOSPC') return true
  return code?.startsWith('SQLITE_IOERR') === true && statfsSync(folder).bavail === 0
}

export function errorData(error: unknown, folder: string): ErrorData {
  const code = codeOf(error)
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof LedgerRefused) return { kind: 'refused', message, code }
  if (error instanceof LedgerDamaged) return { kind: 'damaged', message, code }
  return { kind: isFull(code, folder) ? 'full' : 'other', message, code }
}

export function errorFrom({ kind, message, code }: ErrorData): Error {
  if (kind === 'refused') return new LedgerRefused(message)
  if (kind === 'damaged') return new LedgerDamaged(message)
  if (kind === 'full') return new LedgerFull(`the disk under the ledger is full: ${message}`)
  return Object.assign(new Error(`the ledger failed: ${message}`), { code })
}

/** The memory that the columns of files own alone; a view into anything wider is copied instead. */
export function transferable(files: Publication['files']): readonly ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>()
  for (const { blob } of files) {
    const columns: readonly unknown[] = Object.values(blob?.tensors ?? {})
    for (const value of [blob?.leaves, ...columns])
      if (ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer)
        if (value.byteLength === value.buffer.byteLength) buffers.add(value.buffer)
  }
  return [...buffers]
}
