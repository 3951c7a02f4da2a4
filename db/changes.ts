// Policies, tags and withdrawals: what callers change about a checkpoint besides publishing, what a policy asks of a
// publication, and what becomes of either. Plain data, like the rest of the ledger's interface.

import type { AuditEntry, NewBlob, PublishedFile, Role } from './ledger.ts'

/** Who asks for a change. Role and scope are judged inside the change's transaction, which enters who it was. */
export interface Actor {
  /** Undefined for what the server does by itself, which neither role nor scope holds back. */
  readonly tokenId: string | undefined
  /** Those that may. */
  readonly roles: readonly Role[]
  readonly address: string | undefined
}

/** The token ended meanwhile, or doesn't reach. */
export interface Denied {
  readonly outcome: 'unauthenticated' | 'forbidden'
}

/** Any kind of ref of a checkpoint, which may lead nowhere. */
export interface CheckpointRef {
  readonly owner: string
  readonly name: string
  readonly ref: string
}

/** What an owner or a checkpoint asks of its versions, as the API tells it. A key that is absent is not said at this level. */
export interface PolicyRules {
  readonly require_metadata?: readonly string[]
  /** `$version` stands for the version's name. */
  readonly expect_metadata?: Readonly<Record<string, string | readonly string[]>>
  /** A ref of the same checkpoint, or `owner/name@ref`. */
  readonly same_tensors_as?: string | null
  readonly finite?: boolean
  readonly sidecars?: boolean
  /** Bytes of all files. */
  readonly max_size?: number | null
  /** Names of tags in which `*` stands for any characters. */
  readonly protected_tags?: readonly string[]
  readonly require_signature?: boolean
}

export interface StoredPolicy {
  readonly rules: PolicyRules
  /** Grows with every change of any policy: tells whether what was judged is still what holds. */
  readonly serial: number
}

/** The two levels at which a policy may be set; the nearer one wins, key by key. */
export interface PolicyLevels {
  readonly owner: StoredPolicy | undefined
  readonly checkpoint: StoredPolicy | undefined
}

export interface PolicyChange extends Actor {
  readonly owner: string
  /** Undefined for the owner's own policy. */
  readonly name: string | undefined
  /** All that this level says from now on. */
  readonly rules: PolicyRules
  /** What must be there, available and in the token's scope, for the rules to make sense. */
  readonly mustResolve: CheckpointRef | undefined
}

/** `levels` is what holds from now on. */
export type PolicyOutcome =
  | { readonly outcome: 'set' | 'unchanged'; readonly levels: PolicyLevels }
  | { readonly outcome: 'ref_missing' }
  | Denied

/** What a tag names. */
export interface Tag {
  readonly version: string
  /** Hex. */
  readonly revision: string
  readonly movedAt: string
}

export interface TagChange extends Actor {
  readonly owner: string
  readonly name: string
  readonly tag: string
  /** Those of the roles that may where a policy protects the tag. */
  readonly rolesIfProtected: readonly Role[]
  /** Protected whatever the policy says. */
  readonly isProtected: boolean
  /** The revision (hex) that the tag must name now, null for none; undefined where any will do. */
  readonly expected: string | null | undefined
}

/** A branch is a tag that commits move along. */
export type TagKind = 'tag' | 'branch'

export interface TagMove extends TagChange {
  /** Where to: any kind of ref. */
  readonly ref: string
  /** What it is if it is new; a tag unless said otherwise. */
  readonly kind?: TagKind
}

export interface TagMoved {
  readonly outcome: 'created' | 'moved' | 'unchanged'
  /** What the tag names now. */
  readonly version: string
  readonly revision: string
  /** The revision that it named before; null for none. */
  readonly previous: string | null
}

export interface TagDeleted {
  readonly outcome: 'deleted'
}

export type TagRefusal =
  | { readonly outcome: 'checkpoint_missing' | 'version_missing' | 'tag_missing' }
  | { readonly outcome: 'withdrawn'; readonly reason: string }
  | { readonly outcome: 'version_exists'; readonly revision: string }
  | { readonly outcome: 'protected' | 'unexpected'; readonly current: string | null }
  | Denied

/** Of a branch without a version; `unexpected` when there is one of that name. */
export type BranchOutcome = { readonly outcome: 'started' | 'dropped' | 'too_many' } | TagRefusal

/** A checkpoint as such, whatever it holds. */
export interface CheckpointChange extends Actor {
  readonly owner: string
  readonly name: string
}

/** In the spelling of whoever made it first. */
export type CreateOutcome =
  { readonly outcome: 'created' | 'exists'; readonly owner: string; readonly name: string } | Denied

export interface DeleteOutcome {
  readonly outcome: 'deleted' | 'checkpoint_missing' | Denied['outcome']
}

/** A commit: a version that is built upon another. */
export interface Commit {
  /** The branch that it moves along; undefined for main. */
  readonly branch: string | undefined
  /** The revision (hex) that the branch must name now; null for none. */
  readonly parent: string | null
  readonly summary: string
  readonly description: string
}

export type CommitRefusal =
  | { readonly outcome: 'head_moved'; readonly current: string | null }
  | { readonly outcome: 'branch_missing' | 'branch_protected' | 'checkpoint_missing' }

export interface HistoryEntry {
  readonly version: string
  /** Hex. */
  readonly revision: string
  readonly createdAt: string
  readonly createdBy: string
  readonly summary: string
  readonly description: string
}

/** A file that waits for a version that names it. */
export interface StagedUpload extends Actor {
  readonly tokenId: string
  readonly owner: string
  readonly name: string
  readonly file: PublishedFile & { readonly blob: NewBlob }
  /** RFC 3339, in UTC. */
  readonly expiresAt: string
}

/** `retired` as with a publication. */
export type StageOutcome =
  | { readonly outcome: 'staged'; readonly retired: readonly string[] }
  | { readonly outcome: 'checkpoint_missing' }
  | Denied

export interface TagHistoryQuery {
  readonly owner: string
  readonly name: string
  readonly tag: string
  /** Exclusive start: a sequence number. */
  readonly before: number | undefined
  readonly limit: number
}

/** Newest first. Those of `latest` are entries of publications and withdrawals, also such as left it where it was. */
export type TagHistory = readonly AuditEntry[]

export interface Withdrawal extends Actor {
  readonly owner: string
  readonly name: string
  /** Its own name: no other kind of ref. */
  readonly version: string
  readonly reason: string
}

export interface WithdrawOutcome {
  /** `withdrawn_before`: nothing changes, the first reason stays. */
  readonly outcome: 'withdrawn' | 'withdrawn_before' | WithdrawRefusal
}
export type WithdrawRefusal = Denied['outcome'] | 'checkpoint_missing' | 'version_missing'

/** The tensors that a policy asks for: those of another version. */
export interface TensorsRef extends CheckpointRef {
  /** No such version asks for nothing; elsewhere it is a reason to refuse. */
  readonly mayBeMissing: boolean
}

/** What the policy in force asks of a publication, as far as the transaction decides it. */
export interface AskedOfTensors {
  /** Of both levels as they were judged; the transaction refuses when they aren't those that hold. */
  readonly serials: PolicySerials
  readonly finite: boolean
  readonly sameTensorsAs: TensorsRef | undefined
}

export interface PolicySerials {
  readonly owner: number | undefined
  readonly checkpoint: number | undefined
}

export interface TensorForm {
  readonly dtype: string
  readonly shape: readonly number[]
}

export interface NotFinite {
  readonly outcome: 'not_finite'
  readonly path: string
  readonly tensor: string
  readonly dtype: string
  /** False where nothing is known of its values. */
  readonly isMeasured: boolean
}

/** Undefined: there is none of that name, or none too many. */
export interface TensorsDiffer {
  readonly outcome: 'tensors_differ'
  readonly tensor: string
  readonly expected: TensorForm | undefined
  readonly actual: TensorForm | undefined
}

export type PolicyRefusal =
  NotFinite | TensorsDiffer | { readonly outcome: 'policy_changed' | 'tensors_ref_missing' }
