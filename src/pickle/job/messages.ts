import type { Conversion } from '../convert.ts'
import type { RefusalReason } from '../refused.ts'
import type { ScanReport } from '../scan/report.ts'
import type { ScanFinding } from '../scan/scan.ts'

// What is said between a server, or the command line, and the process that reads a hostile file for it. The file itself,
// and the new one, are open in that process as SOURCE_FD and TARGET_FD: it may open none by itself.

export const SOURCE_FD = 4
export const TARGET_FD = 5

interface Choice {
  readonly root: string | undefined
  readonly writesTiedTwice: boolean
  readonly isOpaqueAllowed: boolean
}

export type Job = { readonly sizeBytes: number } & (
  | ({ readonly kind: 'convert' } & Choice)
  /** The same without writing. */
  | ({ readonly kind: 'judge' } & Choice)
  | { readonly kind: 'scan' }
)

/** A conversion with as many names of what was dropped as are told. */
export interface Converted extends Conversion {
  readonly droppedCount: number
}

export interface Refusal {
  readonly reason: RefusalReason
  /** What a person can act on, without control or bidi characters. */
  readonly message: string
  readonly findings: readonly ScanFinding[]
  /** Whether it is only for an object of a class that isn't known, which could be left out. */
  readonly isForUnknownClass: boolean
}

export type Answer =
  | { readonly kind: 'converted'; readonly converted: Converted }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'scanned'; readonly report: ScanReport }
  /** The fault is ours, or the disk's. */
  | { readonly kind: 'failed'; readonly message: string; readonly code: string | undefined }
