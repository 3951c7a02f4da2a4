// What the registry asks of its ledger: promises, one method a transaction, plain data in and out.
// Nothing here names SQL or SQLite, so that a server database can stand in.

import type {
  Actor,
  AskedOfTensors,
  BranchOutcome,
  CheckpointChange,
  Commit,
  CommitRefusal,
  CreateOutcome,
  DeleteOutcome,
  Denied,
  HistoryEntry,
  PolicyChange,
  PolicyLevels,
  PolicyOutcome,
  PolicyRefusal,
  StagedUpload,
  StageOutcome,
  Tag,
  TagChange,
  TagDeleted,
  TagHistory,
  TagHistoryQuery,
  TagMove,
  TagMoved,
  TagRefusal,
  Withdrawal,
  WithdrawOutcome,
} from './changes.ts'

export type Role = 'reader' | 'writer' | 'detector' | 'auditor' | 'admin'

/** A token without its secret. Times are RFC 3339 in UTC. */
export interface Token {
  readonly id: string
  readonly name: string
  readonly role: Role
  /** `*`, `owner/*`, `owner/name` or `owner/prefix*`, in ASCII lower case. */
  readonly scope: string
  readonly createdAt: string
  readonly createdBy: string | undefined
  readonly expiresAt: string | undefined
  readonly revokedAt: string | undefined
}

export interface NewToken {
  readonly id: string
  /** SHA-256 of the secret, 32 bytes: the secret itself is nowhere in the ledger. */
  readonly sha256: Uint8Array
  readonly name: string
  readonly role: Role
  readonly scope: string
  readonly createdBy: string | undefined
  readonly expiresAt: string | undefined
}

/** What an audit entry says. Its sequence number, time and hashes are the ledger's to add. */
export interface AuditNote {
  readonly action: string
  /** Token id and name; both absent for what the server does by itself. */
  readonly actorId?: string | undefined
  readonly actorName?: string | undefined
  readonly address?: string | undefined
  /** `owner/name@version`, a token id, or nothing. */
  readonly subject?: string | undefined
  readonly revision?: string | undefined
  /** `ok`, or the error code of a refusal. */
  readonly outcome: string
  readonly details?: Readonly<Record<string, unknown>> | undefined
}

export interface AuditEntry extends AuditNote {
  readonly seq: number
  readonly at: string
  readonly prevHash: string
  readonly hash: string
}

export interface AuditQuery {
  readonly after: number
  readonly limit: number
  readonly action?: string | undefined
  readonly subject?: string | undefined
}

export interface AuditHead {
  readonly seq: number
  readonly hash: string
  /** HMAC-SHA-256 of the head under the configured key, hex; absent without a key. */
  readonly mac: string | undefined
}

export interface AuditVerdict {
  readonly valid: boolean
  readonly entries: number
  readonly head: AuditHead
  /** The first sequence number at which the chain doesn't hold, and why. */
  readonly broken: { readonly seq: number; readonly why: string } | undefined
}

/** The tensors of one file, as columns: half a million rows cross a thread boundary without half a million objects. */
export interface TensorColumns {
  readonly count: number
  /** All names, UTF-8, one after the other; `nameEnds[i]` is where the i-th ends. */
  readonly names: Uint8Array
  readonly nameEnds: Uint32Array
  /** Index into `dtypeNames`. */
  readonly dtypes: Uint8Array
  readonly dtypeNames: readonly string[]
  /** All shapes, one after the other; `dimEnds[i]` is where the i-th ends. */
  readonly dims: Float64Array
  readonly dimEnds: Uint32Array
  /** Byte offsets, absolute in the file, end exclusive. */
  readonly begins: Float64Array
  readonly ends: Float64Array
  /** 32 bytes a tensor. */
  readonly digests: Uint8Array
  /** STATISTICS numbers a tensor, in the order of TensorStatistics; absent for a file without floating tensors. */
  readonly statistics: Float64Array | undefined
}

/** Numbers that TensorColumns holds of each tensor: NaN for one that there isn't, nine of them for an integer tensor. */
export const STATISTICS = 9

/** Of a floating tensor. The last five are of its finite elements, undefined where there are none or float64 can't hold it. */
export interface TensorStatistics {
  readonly nan: number
  readonly positiveInfinity: number
  readonly negativeInfinity: number
  readonly zeros: number
  readonly min: number | undefined
  readonly max: number | undefined
  readonly mean: number | undefined
  readonly absoluteMax: number | undefined
  readonly l2Norm: number | undefined
}

export type BlobKind = 'safetensors' | 'index' | 'sidecar'

/** Bytes that are durable in the vault and proven, about to get their row. */
export interface NewBlob {
  /** The random name of the bytes in the vault. */
  readonly vaultId: string
  /** Of a copy of the same content that was proven again just now: if it still stands, it stays, and this one is retired. */
  readonly standing?: string | undefined
  readonly kind: BlobKind
  readonly chunkSize: number
  /** SHA-256 of each chunk, 32 bytes a leaf. */
  readonly leaves: Uint8Array
  /** The file's own `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>
  readonly parameters: number
  readonly tensors: TensorColumns | undefined
}

export interface PublishedFile {
  readonly path: string
  /** Hex. */
  readonly sha256: string
  readonly size: number
  /** Absent when the publisher names bytes that the registry already holds. */
  readonly blob: NewBlob | undefined
}

export interface Publication extends Actor {
  readonly owner: string
  readonly name: string
  readonly version: string
  /** Hex. */
  readonly revision: string
  readonly metadata: Readonly<Record<string, string>>
  readonly warnings: readonly string[]
  /** In byte order of path. */
  readonly files: readonly PublishedFile[]
  readonly asked: AskedOfTensors
  /** Where it is built upon another version. */
  readonly commit?: Commit | undefined
}

/**
 * What became of a publication. `retired` names vault ids that no row points at any more: the bytes just
 * proven replace an older copy of the same content, which is how a damaged blob is repaired; after any other
 * outcome than `created` or `same`, the publication's own vault ids have no row.
 */
export type PublishOutcome =
  { readonly outcome: 'created' | 'same'; readonly retired: readonly string[] } | PublishRefusal
export type PublishRefusal =
  | { readonly outcome: 'exists'; readonly revision: string }
  | { readonly outcome: 'withdrawn'; readonly reason: string }
  | { readonly outcome: 'tag_exists' }
  /** A policy protects a tag of that name, which a version would take for good. */
  | { readonly outcome: 'name_protected' }
  | { readonly outcome: 'spelled_differently'; readonly owner: string; readonly name: string }
  | Denied
  | { readonly outcome: 'blob_missing'; readonly path: string }
  | PolicyRefusal
  | CommitRefusal

export type VersionState = 'available' | 'withdrawn'

export interface Version {
  readonly id: number
  readonly owner: string
  readonly name: string
  readonly version: string
  /** Hex. */
  readonly revision: string
  readonly state: VersionState
  readonly withdrawnReason: string | undefined
  readonly createdAt: string
  readonly createdBy: string
  readonly metadata: Readonly<Record<string, string>>
  readonly warnings: readonly string[]
  readonly size: number
  readonly tensors: number
  readonly parameters: number
  /** Names of the tags that point at it. */
  readonly tags: readonly string[]
}

/** Which kind of ref found the version: what may be cached depends on it, and a prefix may turn ambiguous one day. */
export type RefKind = 'revision' | 'version' | 'tag' | 'prefix'
export interface Resolved {
  readonly version: Version
  readonly via: RefKind
}

export interface Blob {
  readonly id: number
  readonly vaultId: string
  /** Hex. */
  readonly sha256: string
  readonly size: number
  readonly chunkSize: number
  readonly kind: BlobKind
  readonly state: 'sealed' | 'quarantined'
}

export interface VersionFile {
  readonly path: string
  readonly blob: Blob
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: number
  readonly parameters: number
}

/** A file through which a token has its content. */
export interface HeldBlob extends VersionFile {
  /** The version that vouches for it; undefined for what the token itself uploaded to the checkpoint. */
  readonly version:
    | {
        readonly owner: string
        readonly name: string
        /** Hex. */
        readonly revision: string
      }
    | undefined
}

export interface Tensor {
  readonly name: string
  readonly path: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
  /** Hex. */
  readonly sha256: string
  /** Undefined for integers, and for tensors admitted before there were statistics. */
  readonly statistics: TensorStatistics | undefined
}

export interface TensorQuery {
  readonly versionId: number
  readonly path?: string | undefined
  readonly prefix?: string | undefined
  /** Exclusive start, in the order (path, name). */
  readonly after?: { readonly path: string; readonly name: string } | undefined
  readonly limit: number
}

export interface CheckpointSummary {
  readonly owner: string
  readonly name: string
  readonly createdAt: string
  readonly versions: number
  /** Of `latest`, if any version is available. */
  readonly latest: string | undefined
}

export interface CheckpointQuery {
  /** The caller's scope pattern. */
  readonly scope: string
  readonly owner?: string | undefined
  /** Of `owner/name`. */
  readonly prefix?: string | undefined
  /** Exclusive start: `owner/name`. */
  readonly after?: string | undefined
  /** Those too that a client deleted, whose versions are withdrawn; true unless said. */
  readonly deleted?: boolean
  readonly limit: number
}

export interface CheckpointOverview {
  readonly owner: string
  readonly name: string
  readonly createdAt: string
  /** Oldest first. */
  readonly versions: readonly {
    readonly version: string
    readonly revision: string
    readonly state: VersionState
    readonly createdAt: string
    readonly createdBy: string
    readonly size: number
  }[]
  readonly tags: Readonly<Record<string, string>>
  /** Those of the tags that commits move along. */
  readonly branches: readonly string[]
  /** Branches that have no version yet. */
  readonly newBranches: readonly string[]
  /** A client deleted it, and nothing was published since. */
  readonly isDeleted: boolean
}

/** Digests of leaves that one page of the ledger holds; `leaves` of a blob are read page by page. */
export const LEAVES_PER_PAGE = 1024

/** Every look-up rejects with LedgerDamaged when a row that it reads was altered, as far as that shows. */
export interface Ledger {
  // Tokens
  findToken(sha256: Uint8Array): Promise<Token | undefined>
  token(id: string): Promise<Token | undefined>
  listTokens(): Promise<readonly Token[]>
  createToken(token: NewToken, note: AuditNote): Promise<Token>
  /** Undefined when there is none of that id; revoking twice changes nothing. */
  revokeToken(id: string, note: AuditNote): Promise<Token | undefined>

  // Versions
  /**
   * Takes the arrays of leaves and tensors with it: they are transferred to the writer and empty afterwards.
   * Rejects with LedgerFull when the disk is full.
   */
  publish(publication: Publication): Promise<PublishOutcome>
  withdraw(withdrawal: Withdrawal): Promise<WithdrawOutcome>
  /** Looked up in this order: full revision, version, tag, unique revision prefix of 12 hex digits or more. */
  resolve(owner: string, name: string, ref: string): Promise<Resolved | undefined>
  /** In byte order of path. */
  filesOf(versionId: number): Promise<readonly VersionFile[]>
  tensorsOf(query: TensorQuery): Promise<readonly Tensor[]>
  /** Those of a file that have one of these names; a caller with many names asks for some at a time. */
  tensorsNamed(file: VersionFile, names: readonly string[]): Promise<readonly Tensor[]>
  /** A file's tensors in byte order of name, after `after` (exclusive; '' for the first page). */
  tensorPage(file: VersionFile, after: string, limit: number): Promise<readonly Tensor[]>
  /** Names of a blob's tensors in byte order, after `after` (exclusive; '' for the first page). */
  tensorNames(blobId: number, after: string, limit: number): Promise<readonly string[]>
  checkpoint(owner: string, name: string): Promise<CheckpointOverview | undefined>
  checkpoints(query: CheckpointQuery): Promise<readonly CheckpointSummary[]>
  /** A version and those that it was built upon, newest first. */
  history(
    versionId: number,
    page: { readonly skip: number; readonly limit: number },
  ): Promise<readonly HistoryEntry[]>
  /** Before it has any version; its policy admits sidecars, unless its owner's says otherwise. */
  createCheckpoint(change: CheckpointChange): Promise<CreateOutcome>
  /** Withdraws all its versions and removes all its tags. */
  deleteCheckpoint(change: CheckpointChange & { readonly reason: string }): Promise<DeleteOutcome>

  // Policies
  /** Of an owner alone, or of a checkpoint, which needn't exist. */
  policies(owner: string, name?: string): Promise<PolicyLevels>
  setPolicy(change: PolicyChange): Promise<PolicyOutcome>

  // Tags
  tag(owner: string, name: string, tag: string): Promise<Tag | undefined>
  /** Undefined when there is no such checkpoint. */
  tagHistory(query: TagHistoryQuery): Promise<TagHistory | undefined>
  /** Makes the tag when there is none. */
  moveTag(move: TagMove): Promise<TagMoved | TagRefusal>
  deleteTag(change: TagChange): Promise<TagDeleted | TagRefusal>
  /** A branch, named by `tag`, of a checkpoint that has no version to begin it with. */
  startBranch(change: TagChange): Promise<BranchOutcome>
  dropBranch(change: TagChange): Promise<BranchOutcome>

  // Blobs
  /**
   * A blob of this content that the token may read through some available version, or that it uploaded to this
   * checkpoint: scope and role are in the query.
   */
  blobHeldBy(
    tokenId: string,
    sha256: string,
    checkpoint: { readonly owner: string; readonly name: string },
  ): Promise<HeldBlob | undefined>
  /** Takes the arrays of leaves and tensors with it, as `publish` does. */
  stageUpload(upload: StagedUpload): Promise<StageOutcome>
  /** Lets go of some of the uploads that expired by `now`. Returns the vault ids that have no row any more. */
  collectUploads(now: string): Promise<readonly string[]>
  blob(id: number): Promise<Blob | undefined>
  /** Of that content, whoever may read it. */
  blobOf(sha256: string): Promise<Blob | undefined>
  /** Up to LEAVES_PER_PAGE digests, 32 bytes each; undefined past the end. */
  leafPage(blobId: number, page: number): Promise<Uint8Array | undefined>
  hasVaultId(vaultId: string): Promise<boolean>
  /** False when that copy was already quarantined or replaced: then nothing is entered. */
  quarantine(vaultId: string, note: AuditNote): Promise<boolean>

  // The vault
  /** Of the vault that this ledger belongs to; undefined for a new ledger. */
  vaultIdentity(): Promise<string | undefined>
  /** Once and for all. */
  bindVault(identity: string): Promise<void>
  /** Made of a snapshot, and not settled: the vault may hold blobs that only the lost ledger knew. */
  isRestored(): Promise<boolean>
  /** From now on a blob without a row was never acknowledged, as with any ledger. */
  settleRestored(note: AuditNote): Promise<void>

  // Audit
  appendAudit(notes: readonly AuditNote[]): Promise<AuditHead>
  audit(query: AuditQuery): Promise<readonly AuditEntry[]>
  auditHead(): Promise<AuditHead>
  /** Reads the whole log, a page at a time: other callers go on in between. */
  verifyAudit(): Promise<AuditVerdict>

  /** Begins and rolls back a write: rejects when the ledger can't be written; read, where it is only read. */
  ping(): Promise<void>
  /** Checkpoints the write-ahead log and lets go of the files. */
  close(): Promise<void>
}

export { LedgerDamaged, LedgerFull, LedgerRefused } from './failures.ts'

export interface LedgerOptions {
  /** The ledger's folder; it exists. */
  readonly folder: string
  /** Key of the HMAC over the audit head; absent when none is configured. */
  readonly auditKey: Uint8Array | undefined
}
