// What an imported detector computes, by the graph that serves it.

import { findSae } from '../../../src/detect/formats/find-sae.ts'
import { type Imported, importDetector } from '../../../src/detect/formats/import-detector.ts'
import { openSae } from '../../../src/detect/formats/open-sae.ts'
import type { TrainedClassifier } from '../../../src/detect/formats/classifier-file.ts'
import type { Family, SaeOptions } from '../../../src/detect/formats/sae.ts'
import type { Detector } from '../../../src/detect/detector.ts'
import { openSession } from '../../../src/detect/engine/session.ts'
import { buildActivationsGraph } from '../../../src/detect/graph/activations-graph.ts'
import { openDetector } from '../../../src/detect/open-detector.ts'

const PLAIN: SaeOptions = { inputScale: undefined, k: undefined, decoderBias: 'kept' }

/** Imports an SAE and classifiers, and opens the detector's file as a server would. */
export async function imported(
  path: string,
  family: Family | undefined,
  classifiers: readonly TrainedClassifier[],
  changes: Partial<SaeOptions> & { readonly host?: Detector; readonly labels?: ReadonlyMap<string, string> } = {}, // prettier-ignore
): Promise<{ readonly file: Uint8Array; readonly detector: Detector }> {
  const { host, labels = new Map<string, string>(), ...options } = changes
  const { sae, close } = await openSae(await findSae(path, family), { ...PLAIN, ...options })
  try {
    const made = importDetector({
      sae,
      classifiers,
      labels,
      thresholds: () => 0.5,
      description: 'Random weights, for tests',
      languages: ['und'],
      host,
    })
    const file = await whole(made)
    return { file, detector: openDetector(file) }
  } finally {
    await close()
  }
}

async function whole({ chunks, fileBytes }: Imported): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  // A chunk may be written over once the next one is asked for.
  for await (const chunk of chunks()) parts.push(Uint8Array.from(chunk))
  const file = Buffer.concat(parts)
  if (file.length !== fileBytes) throw new Error(`${file.length} bytes came, not ${fileBytes}`)
  return file
}

export interface Computed {
  /** `[tokens, rows]` */
  readonly latents: Float32Array
  /** `[tokens, labels]` */
  readonly probabilities: Float32Array
}

export async function computed(detector: Detector, activations: Float32Array): Promise<Computed> {
  const session = await openSession(buildActivationsGraph(detector), 'cpu', 1)
  const { dModel } = detector.settings.sae
  const input = { data: activations, shape: [activations.length / dModel, dModel] }
  const found = await session.run({ activations: input }, ['latents', 'probabilities'])
  await session.release()
  const none = new Float32Array()
  return {
    latents: found.get('latents') ?? none,
    probabilities: found.get('probabilities') ?? none,
  }
}

/** A logistic regression that reads only some latents of an SAE, a class each. */
export function readingOnly(latents: readonly number[], width: number): TrainedClassifier {
  const classes = ['none', 'personal_name', 'address', 'phone', 'email'].slice(0, 3)
  const weight = new Float32Array(classes.length * width)
  for (const [i, latent] of latents.entries()) weight[(i % classes.length) * width + latent] = i + 1
  return {
    kind: 'logistic',
    link: 'softmax',
    aggregate: undefined,
    classes,
    columns: width,
    latents: undefined,
    tensors: new Map([
      ['weight', { dtype: 'F32', shape: [classes.length, width], bytes: new Uint8Array(weight.buffer) }], // prettier-ignore
      [
        'bias',
        { dtype: 'F32', shape: [classes.length], bytes: new Uint8Array(4 * classes.length) },
      ],
    ]),
  }
}
