// Small detectors with random weights: files as docs/detector-format.md has them, which find something, but nothing that makes sense.

import { writeSafetensors } from '../../src/safetensors/write.ts'
import { f32, i32, matrix, u32 } from './matrices.ts'
import type { MatrixStorage, NewTensor } from './matrices.ts'
import { createRandom } from './random.ts'
import type { Random } from './random.ts'
import { unigramVocabulary, wordPieceVocabulary } from './vocabulary.ts'
import type { Vocabulary } from './vocabulary.ts'

export const LABELS = [
  'none',
  ...['personal_name', 'address', 'phone', 'email', 'other.organisation'].flatMap((category) => [
    `${category}.begin`,
    `${category}.inside`,
  ]),
]

export type NewClassifier =
  | { kind: 'logistic'; link: 'softmax' | 'sigmoid'; labels: string[] }
  | {
      kind: 'trees'
      link: 'softmax' | 'sigmoid' | 'identity'
      aggregate: 'sum' | 'mean'
      labels: string[]
      /** Of the fixture, not of the file: how many, and splits from root to leaf. */
      trees?: number
      depth?: number
    }

export interface TinyOptions {
  readonly seed?: number
  /** `none`: reads activations only. */
  readonly tokenizer?: 'unigram' | 'wordpiece' | 'none'
  readonly architecture?: 'relu' | 'jumprelu' | 'topk'
  /** Of all matrices but the piece embeddings. */
  readonly storage?: Exclude<MatrixStorage, '4bit'>
  readonly pieceStorage?: MatrixStorage
  readonly features?: boolean
  readonly layers?: number
  readonly width?: number
  readonly heads?: number
  readonly intermediate?: number
  readonly positions?: number
  /** Of the SAE; `rows` below it are kept of a wider one. */
  readonly saeWidth?: number
  readonly rows?: number
  readonly k?: number
  readonly classifiers?: readonly NewClassifier[]
  readonly window?: number
  readonly overlap?: number
  readonly threshold?: number
  readonly golden?: readonly unknown[]
  readonly languages?: readonly string[]
}

/** What `__metadata__` says and the tensors, to be changed by a test before they become a file. */
export interface TinyParts {
  readonly settings: Record<string, unknown>
  readonly tensors: NewTensor[]
}

const SOFTMAX: NewClassifier = { kind: 'logistic', link: 'softmax', labels: LABELS }

const FILLED = {
  seed: 1,
  tokenizer: 'unigram',
  architecture: 'jumprelu',
  storage: 'f32',
  features: true,
  layers: 2,
  width: 32,
  heads: 2,
  intermediate: 64,
  positions: 64,
  saeWidth: 48,
  k: 8,
  classifiers: [SOFTMAX],
  window: 30,
  overlap: 15,
  threshold: 0.3,
  golden: [],
  languages: ['en', 'de', 'fr', 'es', 'ja'],
} as const satisfies TinyOptions

type Filled = Required<TinyOptions>

/** The bytes of a detector file. The same options give the same bytes. */
export function tinyDetector(options: TinyOptions = {}): Uint8Array<ArrayBuffer> {
  return detectorFile(tinyParts(options))
}

/** A file of any settings and tensors, right or wrong. */
export function detectorFile({ settings, tensors }: TinyParts): Uint8Array<ArrayBuffer> {
  return rawDetectorFile(JSON.stringify(settings), tensors)
}

/** Wide elements first, so that each tensor begins at a multiple of its element's size. */
export function rawDetectorFile(
  settings: string,
  tensors: readonly NewTensor[],
): Uint8Array<ArrayBuffer> {
  const size = ({ dtype }: NewTensor): number => Number(/\d+/.exec(dtype)?.[0])
  const sorted = tensors.toSorted((a, b) => size(b) - size(a))
  return writeSafetensors(sorted, { 'strongroom.detector': settings })
}

export function tinyParts(options: TinyOptions = {}): TinyParts {
  const o: Filled = fill(options)
  const random = createRandom(o.seed)
  const vocabulary =
    o.tokenizer === 'none'
      ? undefined
      : o.tokenizer === 'unigram'
        ? unigramVocabulary()
        : wordPieceVocabulary()
  return {
    // A copy in which nothing is shared, to be changed freely.
    settings: JSON.parse(JSON.stringify(settingsOf(o, vocabulary))) as Record<string, unknown>,
    tensors: [
      ...(vocabulary === undefined ? [] : [...vocabulary.tensors, ...host(o, vocabulary, random)]),
      ...sae(o, random),
      ...o.classifiers.flatMap((classifier, n) => classifierTensors(o, classifier, n, random)),
    ],
  }
}

function fill(options: TinyOptions): Filled {
  const rows = options.rows ?? options.saeWidth ?? FILLED.saeWidth
  const pieceStorage = options.pieceStorage ?? options.storage ?? FILLED.storage
  return { ...FILLED, rows, pieceStorage, ...options }
}

function settingsOf(o: Filled, vocabulary: Vocabulary | undefined): Record<string, unknown> {
  const category = { threshold: o.threshold, calibration: [[0, 0.05], [0.5, 0.6], [1, 0.99]] } // prettier-ignore
  const named = new Set(o.classifiers.flatMap(({ labels }) => labels.map(categoryOf)))
  const categories = ['personal_name', 'address', 'phone', 'email'].filter((c) => named.has(c))
  return {
    format: 1,
    description: 'Random weights, for tests',
    languages: o.languages,
    ...(vocabulary === undefined
      ? {}
      : {
          tokenizer: vocabulary.settings,
          host: {
            kind: 'bert',
            layers: o.layers,
            width: o.width,
            heads: o.heads,
            intermediate: o.intermediate,
            pieces: vocabulary.pieces.length,
            positions: o.positions,
            epsilon: 1e-12,
            features: o.features ? 'shape-gap' : null,
          },
        }),
    sae: {
      architecture: o.architecture,
      d_model: o.width,
      width: o.saeWidth,
      rows: o.rows,
      ...(o.architecture === 'topk' ? { k: o.k } : {}),
    },
    classifiers: o.classifiers.map((classifier) =>
      classifier.kind === 'logistic'
        ? classifier
        : {
            kind: 'trees',
            link: classifier.link,
            aggregate: classifier.aggregate,
            labels: classifier.labels,
          },
    ),
    decoding: {
      window: o.window,
      overlap: o.overlap,
      categories: Object.fromEntries(categories.map((name) => [name, category])),
    },
    golden: o.golden,
    scores: {},
  }
}

const categoryOf = (label: string): string => label.replace(/\.(begin|inside)$/, '')

function normal(random: Random, count: number, deviation: number, mean = 0): Float32Array {
  return new Float32Array(count).map(() => mean + deviation * random.normal())
}

function host(o: Filled, { pieces }: Vocabulary, random: Random): NewTensor[] {
  const { width, intermediate } = o
  const dense = (name: string, out: number, into: number): NewTensor[] => [
    ...matrix(
      `${name}.weight`,
      out,
      into,
      normal(random, out * into, 1.5 / Math.sqrt(into)),
      o.storage,
    ),
    f32(`${name}.bias`, [out], normal(random, out, 0.1)),
  ]
  const norm = (name: string): NewTensor[] => [
    f32(`${name}.weight`, [width], normal(random, width, 0.1, 1)),
    f32(`${name}.bias`, [width], normal(random, width, 0.1)),
  ]
  const embedding = (name: string, rows: number, storage: MatrixStorage): NewTensor[] =>
    matrix(`host.embeddings.${name}`, rows, width, normal(random, rows * width, 1), storage)
  const layer = (n: number): NewTensor[] => [
    ...['query', 'key', 'value', 'output'].flatMap((name) =>
      dense(`host.layers.${n}.attention.${name}`, width, width),
    ),
    ...norm(`host.layers.${n}.attention.norm`),
    ...dense(`host.layers.${n}.up`, intermediate, width),
    ...dense(`host.layers.${n}.down`, width, intermediate),
    ...norm(`host.layers.${n}.norm`),
  ]
  return [
    ...embedding('piece', pieces.length, o.pieceStorage),
    ...embedding('position', o.positions, o.storage),
    ...(o.features ? embedding('feature', 36, o.storage) : []),
    ...norm('host.embeddings.norm'),
    ...Array.from({ length: o.layers }, (_, n) => layer(n)).flat(),
  ]
}

function sae(o: Filled, random: Random): NewTensor[] {
  const { rows, width } = o
  const kept = Array.from({ length: rows }, (_, i) => Math.floor((i * o.saeWidth) / rows))
  return [
    ...matrix(
      'sae.encoder.weight',
      rows,
      width,
      normal(random, rows * width, 1 / Math.sqrt(width)),
      o.storage,
    ),
    f32('sae.encoder.bias', [rows], normal(random, rows, 0.2)),
    ...(o.architecture === 'jumprelu'
      ? [f32('sae.threshold', [rows], normal(random, rows, 0.1, 0.4))]
      : []),
    ...(rows < o.saeWidth ? [u32('sae.latents', kept)] : []),
  ]
}

function classifierTensors(
  o: Filled,
  classifier: NewClassifier,
  n: number,
  random: Random,
): NewTensor[] {
  if (classifier.kind === 'trees') return trees(o, classifier, n, random)
  const labels = classifier.labels.length
  return [
    ...matrix(
      `classifiers.${n}.weight`,
      labels,
      o.rows,
      normal(random, labels * o.rows, 1),
      o.storage,
    ),
    f32(`classifiers.${n}.bias`, [labels], normal(random, labels, 0.5)),
  ]
}

/** Full binary trees, each laid out in breadth. */
function trees(
  o: Filled,
  { trees = 5, depth = 3, labels }: Extract<NewClassifier, { kind: 'trees' }>,
  n: number,
  random: Random,
): NewTensor[] {
  const inner = 2 ** depth - 1
  const each = inner * 2 + 1
  const nodes = Array.from({ length: trees * each }, (_, i) => {
    const [root, at] = [i - (i % each), i % each]
    return at < inner
      ? { feature: random.integer(o.rows), left: root + 2 * at + 1, right: root + 2 * at + 2 }
      : { feature: -1, left: 0, right: 0 }
  })
  const name = (field: string): string => `classifiers.${n}.${field}`
  return [
    i32(name('feature'), nodes.map(({ feature }) => feature)), // prettier-ignore
    i32(name('left'), nodes.map(({ left }) => left)), // prettier-ignore
    i32(name('right'), nodes.map(({ right }) => right)), // prettier-ignore
    f32(name('threshold'), [nodes.length], normal(random, nodes.length, 0.3, 0.4)),
    f32(name('value'), [nodes.length, labels.length], normal(random, nodes.length * labels.length, 0.5)), // prettier-ignore
    i32(name('roots'), Array.from({ length: trees }, (_, t) => t * each)), // prettier-ignore
    f32(name('base'), [labels.length], normal(random, labels.length, 0.1)),
  ]
}
