import type { Detector, DetectorTensor } from './detector.ts'
import { aligned, checkFinite } from './open/check-finite.ts'
import { checkShapes } from './open/check-shapes.ts'
import { checkTrees } from './open/check-trees.ts'
import { checkVocabulary } from './open/check-vocabulary.ts'
import { refuseAt } from './open/members.ts'
import { readSettings } from './open/read-settings.ts'
import { readTensors } from './open/read-tensors.ts'
import { refuseTensor } from './open/tensor-taker.ts'
import { tensorOf } from './tensor-values.ts'

/** The key of `__metadata__` that makes a safetensors file a detector. */
export const SETTINGS_KEY = 'strongroom.detector'

/** 48 layers have at most 22 each, 64 classifiers 7 each. */
const MAX_TENSORS = 4096

/**
 * Reads a detector from the bytes of its file, which whoever made it controls: it takes what docs/detector-format.md
 * says and nothing else. The tensors are views of `bytes`; of its own it allocates little beyond the header.
 *
 * @throws DetectorRefused saying where the file departs from that page, and how
 */
export function openDetector(bytes: Uint8Array): Detector {
  const { metadata, tensors } = readTensors(bytes, MAX_TENSORS)
  return checkDetector(
    metadata[SETTINGS_KEY] ?? refuseAt('file', `has no ${SETTINGS_KEY}`),
    tensors,
  )
}

/**
 * Checks settings and tensors, wherever they come from. @throws DetectorRefused
 *
 * @param json what `__metadata__` says under SETTINGS_KEY
 */
export function checkDetector(
  json: string,
  tensors: ReadonlyMap<string, DetectorTensor>,
): Detector {
  const settings = readSettings(json)
  checkShapes(settings, tensors)
  const detector = { settings, tensors }
  checkFinite(tensors)
  checkVocabulary(detector)
  checkLatents(detector)
  checkTrees(detector)
  return detector
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
