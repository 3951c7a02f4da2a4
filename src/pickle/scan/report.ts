import { HEAD_BYTES, looksLike } from '../../safetensors/sniff.ts'
import type { LooksLike } from '../../safetensors/safetensors-error.ts'
import { DEFAULT_LIMITS } from '../limits.ts'
import { isSafetensors, passThrough } from '../pass-through.ts'
import { readThrough } from '../read-through.ts'
import { ConversionRefused } from '../refused.ts'
import type { Source } from '../source.ts'
import { readCheckpoint, weightsOf } from '../weights.ts'
import { SCAN_LIMITS } from './limits.ts'
import { isAttack, picklesIn, type Pickles, type ScanFinding, type ScanLimits } from './scan.ts'

/** `refused`: no attack was found, and it is no weights, asks for more than plain data, or can't be read to its end. */
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

/** Looks into a file of any kind, by its content, running nothing of it. */
export function scan(source: Source, limits: ScanLimits = SCAN_LIMITS): ScanReport {
  const pickles = picklesIn(source, limits)
  const { trouble, sha256 = readThrough(source) } = judged(source)
  const format = formatOf(source)
  // What torch.save wrote was read by the strict machine to its end; its numbers may look like anything.
  const isReadOut = format !== 'safetensors' || pickles.isReadOut
  return {
    format,
    verdict: verdictOf(pickles, trouble === undefined && isReadOut),
    findings: pickles.findings,
    notes: [...(trouble === undefined ? [] : [trouble]), ...pickles.notes],
    sha256,
    hasPickle: pickles.hasPickle,
  }
}

/** @param isTaken whether all of it was read without complaint. */
function verdictOf({ findings, isWhole }: Pickles, isTaken: boolean): Verdict {
  if (findings.some(isAttack)) return 'dangerous'
  return findings.length === 0 && isWhole && isTaken ? 'clean' : 'refused'
}

function formatOf(source: Source): ScanReport['format'] {
  if (isSafetensors(source)) return 'safetensors'
  return looksLike(source.take(0, Math.min(HEAD_BYTES, source.sizeBytes)))
}

/** Why it would not be taken as weights, if so; that it isn't clear which of its parts they are is the caller's to say. */
function judged(source: Source): { readonly trouble?: string; readonly sha256?: string } {
  let sha256: string | undefined
  try {
    if (isSafetensors(source)) return { sha256: passThrough(source, () => undefined).sourceSha256 }
    const checkpoint = readCheckpoint(source, CONVERSION)
    sha256 = readThrough(source, checkpoint.places)
    weightsOf(checkpoint, source.sizeBytes, CONVERSION)
    return { sha256 }
  } catch (error) {
    if (!(error instanceof ConversionRefused)) throw error
    const trouble = error.reason === 'root' ? {} : { trouble: error.message }
    return { ...trouble, ...(sha256 === undefined ? {} : { sha256 }) }
  }
}

const CONVERSION = {
  root: undefined,
  writesTiedTwice: false,
  isOpaqueAllowed: false,
  limits: DEFAULT_LIMITS,
}
