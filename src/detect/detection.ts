import type {
  Category,
  ClassifierSettings,
  DetectorSettings,
  SaeSettings,
  Span,
} from './detector.ts'

// What the routes ask of detection. Offsets in here are UTF-16 units of the text as it was sent, and nothing of a
// text is in any error, log or metric.

/** The address that a request came to, as the metrics tell it. */
export type Surface = 'detect' | 'detect-pii' | 'analyze' | 'activations'

interface Asked {
  readonly surface: Surface
  /** Confidence from which on a span is told. */
  readonly threshold: number
  /** All of them where undefined. */
  readonly categories: readonly Category[] | undefined
  /** Adds to each span the latents that speak most for it. */
  readonly explain: boolean
  /** Aborts when the caller hangs up: the work is dropped, and its place is free again. */
  readonly signal: AbortSignal | undefined
  /** Told which slot the request is given to, whatever becomes of it. */
  readonly onSlot?: (slot: Slot) => void
}

export interface TextsRequest extends Asked {
  readonly texts: readonly string[]
  /** Must be one of the detector's; undefined where any will do. */
  readonly language: string | undefined
}

/** Activations of the model that the detector's SAE was trained on, row-major, little-endian. */
export interface ActivationsRequest extends Asked {
  readonly dtype: 'F32' | 'F16' | 'BF16'
  /** `[tokens, dModel]`. */
  readonly bytes: Uint8Array
  readonly tokens: number
  readonly dModel: number
  /** `[tokens, 2]`: begin and end of each token in a text that the server never sees; undefined where not known. */
  readonly offsets: Float64Array | undefined
}

export interface LatentShare {
  /** Its number in the whole SAE. */
  readonly latent: number
  readonly activation: number
  /** How it speaks for the span's category. */
  readonly weight: number
}

export interface DetectedSpan extends Span {
  /** Calibrated: of spans told with 0.8, 80% are what they are said to be. */
  readonly confidence: number
  /** With `explain` only; strongest first. */
  readonly latents?: readonly LatentShare[]
}

/** Of one text, or of one request's activations. */
export interface Detection {
  /** Sorted, not overlapping. Units of `offsets` for activations that came with them, else numbers of tokens. */
  readonly spans: readonly DetectedSpan[]
  /** Windows, or batches of activations, that were looked at. */
  readonly chunks: number
}

/** One for each text, in order, and who made them. */
export interface Detections {
  readonly results: readonly Detection[]
  readonly model: DetectorModel
}

export type Provider = 'cpu' | 'cuda' | 'webgpu'
export type Slot = 'primary' | 'canary'

/** A detector that is loaded and serves. */
export interface DetectorModel {
  readonly slot: Slot
  /** As configured: `strongroom/pii@production`. */
  readonly ref: string
  /** `owner/name`. */
  readonly checkpoint: string
  readonly version: string
  /** Hex. */
  readonly revision: string
  /** Of its one file, hex. */
  readonly sha256: string
  readonly provider: Provider
  /** Operators of the graph that this provider left to the CPU; none on the CPU itself; undefined where not known. */
  readonly fellBack: readonly string[] | undefined
  readonly description: string
  readonly languages: readonly string[]
  /** False for one that reads activations only. */
  readonly readsText: boolean
  readonly categories: readonly Category[]
  readonly sae: SaeSettings
  readonly classifiers: readonly ClassifierSettings[]
  readonly scores: DetectorSettings['scores']
  readonly loadedAt: string
}

/**
 * Where a configured ref stands. `absent`: it leads to no version. `failed`: nothing serves. A slot that serves may
 * have a problem too: what the ref leads to by now didn't load, and the one before goes on.
 */
export interface SlotState {
  readonly slot: Slot
  readonly ref: string
  /** Of 100 requests, those that this slot gets while it serves. */
  readonly percent: number
  readonly state: 'loading' | 'serving' | 'absent' | 'failed'
  readonly model: DetectorModel | undefined
  readonly problem: SlotProblem | undefined
}

export interface SlotProblem {
  /** A sentence. */
  readonly why: string
  /** Of what didn't load, where the ref led to something. */
  readonly version: string | undefined
  readonly revision: string | undefined
  readonly at: string
}

/** What the routes are given: `strongroom.detect`. */
export interface Detect {
  /**
   * @throws {RegistryError} TOO_LARGE, INVALID_REQUEST (`body.language`), TOO_MANY_REQUESTS, DEADLINE_EXCEEDED,
   *   DETECTOR_UNAVAILABLE, DETECTION_FAILED, or the signal's reason.
   */
  readonly texts: (request: TextsRequest) => Promise<Detections>
  /**
   * One detection in `results`.
   *
   * @throws {RegistryError} as texts does; INVALID_REQUEST (`body.activations`) where the width is another or a value
   *   isn't finite.
   */
  readonly activations: (request: ActivationsRequest) => Promise<Detections>
  /** Primary first; none where no detector is configured. */
  readonly slots: () => readonly SlotState[]
  /** Counts a request once it is over. @param outcome `ok`, `ABORTED` or an error's code */
  readonly count: (surface: Surface, outcome: string, slot: Slot | undefined) => void
}
