import { createHeaderWriter } from '../../safetensors/header-writer.ts'
import type { Category, Detector, DetectorTensor } from '../detector.ts'
import { CATEGORIES } from '../detector.ts'
import { checkDetector, SETTINGS_KEY } from '../open-detector.ts'
import { refuseAt } from '../open/members.ts'
import { categoryOfLabel } from '../open/read-labels.ts'
import type { TrainedClassifier } from './classifier-file.ts'
import { fitClassifier, latentsRead } from './fit-classifier.ts'
import { type FoldedEncoder, foldEncoder } from './fold-encoder.ts'
import type { Sae } from './sae.ts'

export interface ImportOptions {
  readonly sae: Sae
  readonly classifiers: readonly TrainedClassifier[]
  /** Our word for a class of theirs; a class that isn't there is its own label. */
  readonly labels: ReadonlyMap<string, string>
  readonly thresholds: (category: Category) => number
  readonly description: string
  readonly languages: readonly string[]
  /** Whose host and tokenizer are taken along: the detector then reads text. */
  readonly host: Detector | undefined
}

export interface Imported {
  readonly detector: Detector
  readonly fileBytes: number
  /** The file. Read once; refusals come from here too, where a weight isn't finite. */
  readonly chunks: () => AsyncGenerator<Uint8Array>
}

/** Of a detector that reads no text, in which they mean nothing. */
const NO_WINDOWS = { window: 126, overlap: 63 }

/**
 * Makes a detector (docs/detector-format.md) of somebody's SAE and classifiers. The decoder is left out, and so are
 * latents that no classifier reads, unless their selection depends on the others (`topk`). Weights are not read before
 * `chunks` is.
 *
 * @throws {DetectorRefused} saying what doesn't fit
 */
export function importDetector(options: ImportOptions): Imported {
  const { sae, classifiers, host } = options
  const kept = keptLatents(sae, classifiers)
  const encoder = foldEncoder(sae, kept)
  const fitted = classifiers.map((classifier) => fitClassifier(classifier, kept))
  const json = JSON.stringify(settingsOf(options, kept, fitted.map(({ settings }) => settings))) // prettier-ignore
  const tensors = new Map([
    ...encoderTensors(sae, encoder, kept),
    ...fitted.flatMap(({ tensors }, n) =>
      Array.from(tensors, ([name, tensor]): Named => [`classifiers.${n}.${name}`, tensor]),
    ),
    ...hostTensors(host),
  ])
  const detector = checkDetector(json, tensors)
  const order = inOrder(tensors)
  const header = createHeaderWriter([[SETTINGS_KEY, json]])
  for (const [name, { dtype, shape }] of order)
    header.add({ name, dtype, shape, size: shape.reduce((a, b) => a * b, BYTES[dtype]) })
  const start = header.finish()

  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield start
    yield* encoder.weight()
    for (const [name, { bytes }] of order) {
      if (name === BIAS) yield bytesOf(encoder.bias())
      else if (name !== WEIGHT) yield bytes
    }
  }
  return { detector, fileBytes: start.length + header.dataBytes(), chunks }
}

type Named = readonly [string, DetectorTensor]

const WEIGHT = 'sae.encoder.weight'
const BIAS = 'sae.encoder.bias'
const BYTES: Readonly<Record<DetectorTensor['dtype'], number>> = { F32: 4, U32: 4, I32: 4, F16: 2, BF16: 2, I8: 1, U8: 1 } // prettier-ignore

function keptLatents(sae: Sae, classifiers: readonly TrainedClassifier[]): Uint32Array {
  const width = sae.encoder.latents
  const read = new Set(classifiers.flatMap((each) => [...latentsRead(each, width)]))
  if (read.size === 0) refuseAt('classifiers', 'read no latent at all')
  return sae.architecture === 'topk'
    ? Uint32Array.from({ length: width }, (_, latent) => latent)
    : Uint32Array.from(read).sort()
}

function settingsOf(
  { sae, classifiers, labels, thresholds, description, languages, host }: ImportOptions,
  kept: Uint32Array,
  fitted: readonly Readonly<Record<string, string>>[],
): Record<string, unknown> {
  const labelled = classifiers.map(({ classes }) => classes.map((one) => labels.get(one) ?? one))
  const named = new Set(labelled.flat().map(categoryOfLabel))
  const found = CATEGORIES.filter((category) => named.has(category))
  const { window, overlap } = host?.settings.decoding ?? NO_WINDOWS
  return {
    format: 1,
    description,
    languages,
    ...textSettings(host),
    sae: {
      architecture: sae.architecture,
      d_model: sae.encoder.columns,
      width: sae.encoder.latents,
      rows: kept.length,
      ...(sae.k === undefined ? {} : { k: sae.k }),
    },
    classifiers: fitted.map((settings, n) => ({ ...settings, labels: labelled[n] })),
    decoding: {
      window,
      overlap,
      categories: Object.fromEntries(
        found.map((name) => [name, { threshold: thresholds(name), calibration: [[0, 0], [1, 1]] }]), // prettier-ignore
      ),
    },
    golden: [],
    scores: { imported: { family: sae.family, input_scale: sae.inputScale, ...sae.notes } },
  }
}

/** As the page names them. */
function textSettings(host: Detector | undefined): Record<string, unknown> {
  const text = host?.settings.text
  if (text === undefined) return host === undefined ? {} : refuseAt('host', 'reads no text itself')
  const { tokenizer } = text
  return {
    tokenizer:
      tokenizer.kind === 'unigram'
        ? tokenizer
        : {
            kind: tokenizer.kind,
            begin: tokenizer.begin,
            end: tokenizer.end,
            unknown: tokenizer.unknown,
            lowercase: tokenizer.lowercase,
            strip_accents: tokenizer.stripAccents,
            longest_word: tokenizer.longestWord,
          },
    host: { ...text.host, features: text.host.features ?? null },
  }
}

function hostTensors(host: Detector | undefined): Named[] {
  return Array.from(host?.tensors ?? []).filter(([name]) => /^(host|tokenizer)\./.test(name))
}

/** Weight and bias are shapes only: their numbers come when the file is written. */
function encoderTensors(sae: Sae, { dtype }: FoldedEncoder, kept: Uint32Array): Named[] {
  const { latents: width, columns } = sae.encoder
  const bytes = new Uint8Array()
  const thresholds = sae.thresholds
  return [
    [WEIGHT, { dtype, shape: [kept.length, columns], bytes }],
    [BIAS, { dtype: 'F32', shape: [kept.length], bytes }],
    ...(thresholds === undefined ? [] : [f32('sae.threshold', Float32Array.from(kept, (latent) => thresholds[latent] ?? 0))]), // prettier-ignore
    ...(kept.length < width ? [['sae.latents', { dtype: 'U32', shape: [kept.length], bytes: bytesOf(kept) }] as const] : []), // prettier-ignore
  ]
}

const f32 = (name: string, values: Float32Array): Named => [
  name,
  { dtype: 'F32', shape: [values.length], bytes: bytesOf(values) },
]

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Uint32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength)

/** The weight first, since the bias is known after it; then wide elements before narrow ones, so that all are aligned. */
function inOrder(tensors: ReadonlyMap<string, DetectorTensor>): readonly Named[] {
  const rank = ([name, { dtype }]: Named): number => (name === WEIGHT ? 8 : BYTES[dtype])
  return [...tensors].sort((a, b) => rank(b) - rank(a))
}
