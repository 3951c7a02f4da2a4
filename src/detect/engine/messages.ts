import type { Device } from '../detector-ref.ts'
import type {
  ActivationsRequest,
  Detection,
  DetectorModel,
  Provider,
  TextsRequest,
} from '../detection.ts'

// What crosses between the server and the process that runs a detector, by structured clone. The detector's bytes come
// on a pipe of their own; a text is in nothing that comes back.

export interface EngineSettings {
  readonly device: Device
  /** Threads of one inference. */
  readonly threads: number
  /** Most windows that go through the model together. */
  readonly batchChunks: number
  /** How long the first window to come waits for others. */
  readonly batchWaitMs: number
}

export interface Load extends EngineSettings {
  readonly kind: 'load'
  /** Of what the pipe brings. */
  readonly sizeBytes: number
  /** Hex. */
  readonly sha256: string
}

/** Answered by `runs` or `refused`: whether a provider runs anything here at all, without a detector. */
export interface Probe {
  readonly kind: 'probe'
  readonly provider: Provider
}

type Asked = 'threshold' | 'categories' | 'explain'

export interface TextsWork extends Pick<TextsRequest, 'texts' | Asked> {
  readonly kind: 'texts'
}

export interface ActivationsWork extends Pick<
  ActivationsRequest,
  'dtype' | 'bytes' | 'tokens' | 'dModel' | 'offsets' | Asked
> {
  readonly kind: 'activations'
}

export type Work = TextsWork | ActivationsWork

export type ToChild =
  | Load
  | Probe
  | { readonly kind: 'work'; readonly id: number; readonly work: Work }
  /** Nobody waits for it any more. */
  | { readonly kind: 'drop'; readonly id: number }
  /** Answered by `alive`. */
  | { readonly kind: 'ask' }

/** What a loaded detector is, as far as its file and the machine tell. */
export interface EngineFacts extends Pick<
  DetectorModel,
  | 'provider'
  | 'fellBack'
  | 'description'
  | 'languages'
  | 'readsText'
  | 'categories'
  | 'sae'
  | 'classifiers'
  | 'scores'
> {
  /** Providers that were tried before, and why they aren't it. */
  readonly passedOver: readonly PassedOver[]
}

export interface PassedOver {
  readonly provider: Provider
  readonly why: string
}

/**
 * Why a detector isn't loaded: `refused` is about its file, `golden` about what it finds, `not_finite` about its numbers,
 * `provider` about the machine, `damaged` about its bytes, `ended` about the process.
 */
export type LoadFailure = 'refused' | 'golden' | 'not_finite' | 'provider' | 'damaged' | 'ended'

/** Why work failed: the model said something that is no number, the caller's activations do, or a fault of ours. */
export type WorkFailure = 'not_finite' | 'input_not_finite' | 'fault'

export type FromChild =
  | { readonly kind: 'loaded'; readonly facts: EngineFacts }
  | { readonly kind: 'runs' }
  | { readonly kind: 'refused'; readonly failure: LoadFailure; readonly why: string }
  /** One text at a time: no message is long. */
  | {
      readonly kind: 'result'
      readonly id: number
      readonly index: number
      readonly detection: Detection
    }
  | { readonly kind: 'done'; readonly id: number }
  /** `frames` are places in our code, without what the error said. */
  | {
      readonly kind: 'failed'
      readonly id: number
      readonly failure: WorkFailure
      readonly frames: string | undefined
    }
  | { readonly kind: 'dropped'; readonly id: number }
  /** One inference. */
  | { readonly kind: 'ran'; readonly chunks: number; readonly seconds: number }
  | { readonly kind: 'alive' }
