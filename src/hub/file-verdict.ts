import { RegistryError } from '../errors.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { createValidator } from '../safetensors/stream.ts'
import { sidecarForm } from '../sidecars/forms.ts'
import { createSidecarJudge } from '../sidecars/judge.ts'
import type { FileKind } from '../vault/judging.ts'
import { refusalOf } from '../vault/refusal.ts'
import { judgeName } from './refused-names.ts'

/** A file that a client means to commit: its path, its size and how it begins. */
export interface FileToCome {
  readonly path: string
  readonly kind: FileKind
  readonly sizeBytes: number
  /** Its first bytes; all of a short file. */
  readonly sample: Uint8Array
}

const PICKLES = new Set<unknown>(['pickle', 'torch_zip', 'torch_legacy'])
const PICKLE_CURE =
  'Loading a pickle runs the program in it. Convert it with `strongroom migrate` and push the safetensors.'
const TEXT_CURE =
  'A text that could be read as a pickle is refused too, as some lists of words can; another first line helps.'

/** @throws {RegistryError} INVALID_REQUEST for a name that no file of a version may have. */
export function requireAdmissibleName(path: string, kind: FileKind): void {
  const verdict = judgeName(path)
  if (verdict !== undefined) throw refused(path, verdict.why)
  requireSidecar(path, kind)
}

/** @throws {RegistryError} INVALID_REQUEST for a sidecar where the policy admits none. */
export function requireSidecar(path: string, kind: FileKind): void {
  if (kind === 'safetensors' && sidecarForm(path) !== undefined)
    throw refused(
      path,
      'the policy of this repository admits no sidecars: it must be left out, or an admin changes that (`sidecars`)',
    )
}

/**
 * What can be said of a file before it is uploaded.
 *
 * @throws {RegistryError} INVALID_REQUEST with a sentence for the person who pushes it.
 */
export function judgeBeginning({ path, kind, sizeBytes, sample }: FileToCome): void {
  requireSidecar(path, kind)
  try {
    judge({ path, kind, sizeBytes, sample })
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    const refusal = refusalOf(error, { path, kind })
    throw refused(path, withCure(refusal, kind === 'text'), refusal.facts)
  }
}

/** The refusal of a file that came with others, in a sentence that says which it is. */
export function naming(path: string, error: unknown): unknown {
  if (!(error instanceof RegistryError) || error.code !== 'INVALID_SAFETENSORS') return error
  const isText = sidecarForm(path) === 'text'
  return new RegistryError(error.code, `${path}: ${withCure(error, isText)}`, error.facts, error)
}

function withCure({ message, facts }: RegistryError, isText: boolean): string {
  if (!PICKLES.has(facts['looks_like'])) return message
  return `${message}. ${isText ? TEXT_CURE : PICKLE_CURE}`
}

function judge({ kind, sizeBytes, sample }: FileToCome): void {
  const isWhole = sample.length >= sizeBytes
  if (kind === 'index') return
  if (kind === 'safetensors') {
    const validator = createValidator({
      fileBytes: sizeBytes,
      // No more begin in the sample, whatever the header claims to hold.
      maxTensors: sample.length,
      deferTilingAbove: 0,
    })
    validator.write(sample)
    if (isWhole) validator.end()
    return
  }
  const sidecar = createSidecarJudge(kind)
  sidecar.write(sample)
  if (isWhole) sidecar.end()
}

export const refused = (path: string, why: string, facts: object = {}): RegistryError =>
  new RegistryError('INVALID_REQUEST', 'This file is refused.', {
    path: path.slice(0, 200).toWellFormed(),
    ...facts,
    errors: [{ field: `${path.slice(0, 200).toWellFormed()}:`, detail: why }],
  })
