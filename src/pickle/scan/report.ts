import { HEAD_BYTES, looksLike } from '../../safetensors/sniff.ts'
import type { LooksLike } from '../../safetensors/safetensors-error.ts'
import { DEFAULT_LIMITS } from '../limits.ts'
import { isSafetensors, passThrough } from '../pass-through.ts'
import { readThrough } from '../read-through.ts'
import { ConversionRefused } from '../refused.ts'
import type { Source } from '../source.ts'
import { readWeights } from '../weights.ts'
import { isAttack, picklesIn, type Pickles, type ScanFinding, type ScanLimits } from './scan.ts'

/** `refused`: nothing hostile was found, and it isn't taken all the same. */
export type Verdict = 'clean' | 'refused' | 'dangerous'

export interface ScanReport {
  /** By its content. */
  readonly format: LooksLike | 'safetensors'
  readonly verdict: Verdict
  readonly findings: readonly ScanFinding[]
  /** Why it isn't clean though nothing hostile was found, and what could not be looked into. */
  readonly notes: readonly string[]
  readonly sha256: string
  /** Whether there is a pickle in it. */
  readonly hasPickle: boolean
}

export const SCAN_LIMITS: ScanLimits = {
  ...DEFAULT_LIMITS,
  maxFindings: 1000,
  maxEntryBytes: 64 * 1024 * 1024,
  maxInflatedBytes: 256 * 1024 * 1024,
  maxNesting: 4,
}

/** Looks into a file of any kind, by its content, running nothing of it. */
export function scan(source: Source, limits: ScanLimits = SCAN_LIMITS): ScanReport {
  const pickles = picklesIn(source, limits)
  const trouble = troubleOf(source)
  return {
    format: formatOf(source),
    verdict: verdictOf(pickles, trouble === undefined),
    findings: pickles.findings,
    notes: [...(trouble === undefined ? [] : [trouble]), ...pickles.notes],
    sha256: readThrough(source),
    hasPickle: pickles.hasPickle,
  }
}

/** @param isTaken whether all of it was read without complaint. */
function verdictOf({ findings }: Pickles, isTaken: boolean): Verdict {
  if (findings.some(isAttack)) return 'dangerous'
  return findings.length === 0 && isTaken ? 'clean' : 'refused'
}

function formatOf(source: Source): ScanReport['format'] {
  if (isSafetensors(source)) return 'safetensors'
  return looksLike(source.take(0, Math.min(HEAD_BYTES, source.sizeBytes)))
}

/** Why it would not be taken as weights; that it isn't clear which of its parts they are is the caller's to say. */
function troubleOf(source: Source): string | undefined {
  try {
    if (isSafetensors(source)) passThrough(source, () => undefined)
    else readThrough(source, readWeights(source, CONVERSION).checkpoint.places)
    return undefined
  } catch (error) {
    if (!(error instanceof ConversionRefused)) throw error
    return error.reason === 'root' ? undefined : error.message
  }
}

const CONVERSION = {
  root: undefined,
  writesTiedTwice: false,
  isOpaqueAllowed: false,
  limits: DEFAULT_LIMITS,
}
