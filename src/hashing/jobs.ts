import type { HeaderColumns } from '../safetensors/columns.ts'
import type { LooksLike, Reason } from '../safetensors/safetensors-error.ts'
import type { SidecarForm } from '../sidecars/forms.ts'
import type { ValueChange } from './compare-values.ts'

// What the main thread asks of a hash worker, and what comes back. Digests are 32 raw bytes of SHA-256.

/** Bytes of a slot that both sides can see. */
export interface SlotRange {
  readonly segment: number
  readonly offset: number
  readonly length: number
}

export interface ReadLeaf {
  readonly kind: 'read_leaf'
  readonly fd: number
  readonly position: number
  readonly into: SlotRange
  readonly expected: Uint8Array
}
/** `short`: the file ends before the leaf does. */
export type ReadLeafResult = 'verified' | 'mismatch' | 'short'

export interface HashLeaf {
  readonly kind: 'hash_leaf'
  readonly from: SlotRange
}

/** A running SHA-256 over a whole file; all its jobs go to the same worker. */
export interface WholeUpdate {
  readonly kind: 'whole_update'
  readonly session: number
  readonly from: SlotRange
}
export interface WholeDigest {
  readonly kind: 'whole_digest'
  readonly session: number
}

/** SHA-256 of every tensor of a file that streams by; `digests` is shared, 32 bytes a tensor. */
export interface TensorsOpen {
  readonly kind: 'tensors_open'
  readonly session: number
  readonly begins: Float64Array
  readonly ends: Float64Array
  readonly digests: Uint8Array
}
export interface TensorsUpdate {
  readonly kind: 'tensors_update'
  readonly session: number
  readonly from: SlotRange
  /** Of the slot's first byte, absolute in the file. */
  readonly position: number
}

/** Statistics of every floating tensor of a file that streams by. */
export interface StatisticsOpen {
  readonly kind: 'statistics_open'
  readonly session: number
  readonly begins: Float64Array
  readonly ends: Float64Array
  /** Index into `DTYPES`. */
  readonly dtypes: Uint8Array
}
export interface StatisticsUpdate {
  readonly kind: 'statistics_update'
  readonly session: number
  readonly from: SlotRange
  /** Of the slot's first byte, absolute in the file. */
  readonly position: number
}
/** As TensorColumns of the ledger holds them; the worker keeps none of it. */
export interface StatisticsTake {
  readonly kind: 'statistics_take'
  readonly session: number
}

/** The next bytes of a sidecar, in memory that both sides see; the judge is the session's. */
export interface SidecarUpdate {
  readonly kind: 'sidecar_update'
  readonly session: number
  readonly form: SidecarForm
  readonly bytes: Uint8Array
}
/** The sidecar is over. */
export interface SidecarEnd {
  readonly kind: 'sidecar_end'
  readonly session: number
  readonly form: SidecarForm
}
export interface SidecarRefusal {
  readonly message: string
  readonly offset: number | undefined
  readonly looksLike: LooksLike | undefined
}
/** Why it is refused, then and ever after; undefined while nothing is wrong. */
export type SidecarResult = SidecarRefusal | undefined

/** Forgets all kinds of session. */
export interface EndSession {
  readonly kind: 'end_session'
  readonly session: number
}

/** Re-reads and re-hashes a run of whole leaves at rest, and feeds the session's SHA-256 of the whole. */
export interface Rehash {
  readonly kind: 'rehash'
  readonly session: number
  readonly fd: number
  readonly position: number
  readonly length: number
  readonly chunkSize: number
  /** Expected digests of these leaves, 32 bytes each. */
  readonly leaves: Uint8Array
}
/** Index, within the run, of the first leaf that doesn't hold; −1 when all do. */
export type RehashResult = number

/** Do the tensors of a large header cover the data exactly? A refusal comes back as data. */
export interface CheckTiling {
  readonly kind: 'check_tiling'
  readonly columns: HeaderColumns
  readonly dataBegin: number
}
export interface TilingRefusal {
  readonly reason: Reason
  readonly message: string
  readonly offset: number | undefined
  readonly tensor: string | undefined
}
/** The end of the data, absolute in the file. */
export type CheckTilingResult = number | TilingRefusal

/** Does a `*.safetensors.index.json` name only tensors and shards of its own version? */
export interface CheckIndex {
  readonly kind: 'check_index'
  readonly text: Uint8Array
  readonly shards: readonly {
    readonly path: string
    readonly names: Uint8Array
    readonly nameEnds: Uint32Array
  }[]
}
/** What is wrong with it; undefined when nothing is. */
export type CheckIndexResult = string | undefined

/** How far are the values of two runs of elements apart? Both lie in memory that both sides see. */
export interface CompareValues {
  readonly kind: 'compare_values'
  readonly from: Uint8Array
  readonly fromDtype: string
  readonly to: Uint8Array
  readonly toDtype: string
}

export interface Results {
  read_leaf: ReadLeafResult
  hash_leaf: Uint8Array
  whole_update: undefined
  whole_digest: Uint8Array
  tensors_open: undefined
  tensors_update: undefined
  statistics_open: undefined
  statistics_update: undefined
  statistics_take: Float64Array<ArrayBuffer>
  sidecar_update: SidecarResult
  sidecar_end: SidecarResult
  end_session: undefined
  rehash: RehashResult
  check_tiling: CheckTilingResult
  check_index: CheckIndexResult
  compare_values: ValueChange
}
export type Job =
  | ReadLeaf
  | HashLeaf
  | WholeUpdate
  | WholeDigest
  | TensorsOpen
  | TensorsUpdate
  | StatisticsOpen
  | StatisticsUpdate
  | StatisticsTake
  | SidecarUpdate
  | SidecarEnd
  | EndSession
  | Rehash
  | CheckTiling
  | CheckIndex
  | CompareValues

export type ToWorker =
  | { readonly kind: 'segment'; readonly segment: number; readonly buffer: SharedArrayBuffer }
  | { readonly kind: 'job'; readonly id: number; readonly job: Job }

export type FromWorker =
  | { readonly id: number; readonly result: Results[keyof Results] }
  | { readonly id: number; readonly error: Error }
