import { tensorAt } from '../safetensors/columns.ts'
import { DTYPES } from '../safetensors/dtypes.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { createValidator } from '../safetensors/stream.ts'
import type { SafetensorsHeader } from '../safetensors/stream.ts'
import type { Detector, DetectorTensor } from './detector.ts'
import { aligned, checkFinite } from './open/check-finite.ts'
import { checkShapes } from './open/check-shapes.ts'
import { checkTrees } from './open/check-trees.ts'
import { checkVocabulary } from './open/check-vocabulary.ts'
import { refuseAt } from './open/members.ts'
import { readSettings } from './open/read-settings.ts'
import { refuseTensor } from './open/tensor-taker.ts'
import { DetectorRefused } from './refused.ts'
import { tensorOf } from './tensor-values.ts'

/** The key of `__metadata__` that makes a safetensors file a detector. */
export const SETTINGS_KEY = 'strongroom.detector'

/** 48 layers have at most 22 each, 64 classifiers 7 each. */
const MAX_TENSORS = 4096

/**
 * Reads a detector from the bytes of its file, which whoever made it controls: it takes what docs/detector-format.md
 * says and nothing else. The tensors are views of `bytes`. Takes some 50 ms for 40 MB; allocates little beyond the header.
 *
 * @throws DetectorRefused saying where the file departs from that page, and how
 */
export function openDetector(bytes: Uint8Array): Detector {
  const header = readHeader(bytes)
  const json = header.metadata[SETTINGS_KEY] ?? refuseAt('file', `has no ${SETTINGS_KEY}`)
  const settings = readSettings(json)
  const tensors = tensorsOf(bytes, header)
  checkShapes(settings, tensors)
  const detector = { settings, tensors }
  checkFinite(tensors)
  checkVocabulary(detector)
  checkLatents(detector)
  checkTrees(detector)
  return detector
}

function readHeader(bytes: Uint8Array): SafetensorsHeader {
  try {
    const validator = createValidator({ fileBytes: bytes.length, maxTensors: MAX_TENSORS })
    validator.write(bytes)
    return validator.end()
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    throw new DetectorRefused('file', error.message, error)
  }
}

function tensorsOf(
  bytes: Uint8Array,
  { columns }: SafetensorsHeader,
): ReadonlyMap<string, DetectorTensor> {
  const tensors = new Map<string, DetectorTensor>()
  for (let i = 0; i < columns.count; i += 1) {
    const { name, dtype, shape, begin, end } = tensorAt(columns, i)
    if (!isKnown(dtype)) return refuseTensor(name, `is ${dtype}, which no detector has`)
    const size = (DTYPES[columns.dtypes[i] ?? 0]?.bits ?? 8) / 8
    if (begin % size !== 0)
      refuseTensor(name, `begins at byte ${begin}, not at a multiple of ${size}`)
    tensors.set(name, { dtype, shape, bytes: bytes.subarray(begin, end) })
  }
  return tensors
}

const KNOWN: ReadonlySet<string> = new Set<DetectorTensor['dtype']>([
  'F32',
  'F16',
  'BF16',
  'I8',
  'U8',
  'U32',
  'I32',
])

function isKnown(dtype: string): dtype is DetectorTensor['dtype'] {
  return KNOWN.has(dtype)
}

/** The rows of a cut SAE keep their order, and their numbers in the whole one. */
function checkLatents(detector: Detector): void {
  const { rows, width } = detector.settings.sae
  if (rows === width) return
  const latents = aligned(Uint32Array, tensorOf(detector, 'sae.latents').bytes)
  const at = latents.findIndex((latent, i) => i > 0 && latent <= (latents[i - 1] ?? 0))
  if (at !== -1) refuseTensor('sae.latents', `does not ascend at element ${at}`)
  if ((latents.at(-1) ?? 0) >= width)
    refuseTensor('sae.latents', `has numbers beyond the SAE's width, ${width}`)
}
