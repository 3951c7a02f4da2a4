/** What a detector file says, once it has been read and found right: docs/detector-format.md has the words. */

export const CATEGORIES = ['personal_name', 'address', 'phone', 'email'] as const
export type Category = (typeof CATEGORIES)[number]

export interface UnigramSettings {
  readonly kind: 'unigram'
  readonly begin: number
  readonly end: number
  readonly unknown: number
}

export interface WordPieceSettings {
  readonly kind: 'wordpiece'
  readonly begin: number
  readonly end: number
  readonly unknown: number
  readonly lowercase: boolean
  readonly stripAccents: boolean
  readonly longestWord: number
}

export interface HostSettings {
  readonly kind: 'bert'
  readonly layers: number
  readonly width: number
  readonly heads: number
  readonly intermediate: number
  readonly pieces: number
  readonly positions: number
  readonly epsilon: number
  readonly features: 'shape-gap' | undefined
}

export interface SaeSettings {
  readonly architecture: 'relu' | 'jumprelu' | 'topk'
  readonly dModel: number
  readonly width: number
  readonly rows: number
  readonly k: number | undefined
}

interface Labelled {
  readonly labels: readonly string[]
}

export interface LogisticSettings extends Labelled {
  readonly kind: 'logistic'
  readonly link: 'softmax' | 'sigmoid'
}

export interface TreeSettings extends Labelled {
  readonly kind: 'trees'
  readonly link: 'softmax' | 'sigmoid' | 'identity'
  readonly aggregate: 'sum' | 'mean'
}

export type ClassifierSettings = LogisticSettings | TreeSettings

export interface CategoryDecoding {
  /** Mean probability under which a span isn't one. */
  readonly threshold: number
  /** Points [mean probability, confidence], ascending. */
  readonly calibration: readonly (readonly [number, number])[]
}

export interface DecodingSettings {
  /** Pieces a window, without the two special ones. */
  readonly window: number
  /** Pieces that neighbouring windows share. */
  readonly overlap: number
  readonly categories: Readonly<Partial<Record<Category, CategoryDecoding>>>
}

/** Part of a text: UTF-16 units, end exclusive. */
export interface Span {
  readonly category: Category
  readonly start: number
  readonly end: number
}

export interface GoldenText {
  readonly text: string
  readonly spans: readonly Span[]
}

/** Host and tokenizer come together or not at all. */
export interface ReadsText {
  readonly tokenizer: UnigramSettings | WordPieceSettings
  readonly host: HostSettings
}

export interface DetectorSettings {
  readonly description: string
  readonly languages: readonly string[]
  readonly text: ReadsText | undefined
  readonly sae: SaeSettings
  readonly classifiers: readonly ClassifierSettings[]
  readonly decoding: DecodingSettings
  readonly golden: readonly GoldenText[]
  readonly scores: Readonly<Record<string, unknown>>
}

export interface DetectorTensor {
  readonly dtype: 'F32' | 'F16' | 'BF16' | 'I8' | 'U8' | 'U32' | 'I32'
  readonly shape: readonly number[]
  /** A view of the file's bytes, little-endian, row-major. */
  readonly bytes: Uint8Array
}

/** A detector file that was found right: every tensor that the settings call for is there, with its shape. */
export interface Detector {
  readonly settings: DetectorSettings
  readonly tensors: ReadonlyMap<string, DetectorTensor>
}
