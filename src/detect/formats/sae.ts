import { refuseAt } from '../open/members.ts'
import type { Matrix } from './matrix.ts'

/** The ways in which sparse autoencoders are kept that are read here. */
export const FAMILIES = [
  'llama-scope',
  'llama-scope-saelens',
  'gemma-scope',
  'gemma-scope-2',
  'saelens',
  'sparsify',
  'state-dict',
] as const
export type Family = (typeof FAMILIES)[number]

/**
 * The encoder of a sparse autoencoder, whichever family it is of. From an activation x comes, for latent i,
 *
 *     p = scales[i] · (W[i] · (inputScale · x − subtracted) + bias[i])
 *
 * and from that the latent, as docs/detector-format.md has it for the architecture: p where it is over 0 (`relu`), over
 * its threshold (`jumprelu`), or among the k largest (`topk`). Numbers are finite.
 */
export interface Sae {
  readonly family: Family
  readonly architecture: 'relu' | 'jumprelu' | 'topk'
  /** With `topk` only. */
  readonly k: number | undefined
  readonly encoder: Matrix
  readonly bias: Float64Array
  readonly inputScale: number
  /** `[d_model]`; nothing where undefined. */
  readonly subtracted: Float64Array | undefined
  /** 1 where undefined. */
  readonly scales: Float64Array | undefined
  /** With `jumprelu` only. */
  readonly thresholds: Float64Array | undefined
  /** What a reader of the detector would want to know of its making; JSON. */
  readonly notes: Readonly<Record<string, unknown>>
}

/** What only the caller knows. */
export interface SaeOptions {
  /** The activation is multiplied by it first; 1 unless told. */
  readonly inputScale: number | undefined
  /** Of a state dict: how many latents stay; 64 unless told. */
  readonly k: number | undefined
  /** Of a state dict: the decoder's bias is taken off the activation first. */
  readonly decoderBias: 'kept' | 'subtracted'
}

/** The largest k of docs/detector-format.md. */
const MAX_K = 1024

/** @throws {DetectorRefused} where k is none for so many latents */
export function checkK(k: number, latents: number, where: string): number {
  if (!Number.isInteger(k) || k < 1 || k > Math.min(MAX_K, latents))
    refuseAt(where, `is ${k}, and wants an integer from 1 to ${Math.min(MAX_K, latents)}`)
  return k
}

/** A negative threshold lets through what the ReLU before it has made 0. */
export const notNegative = (thresholds: Float64Array): Float64Array =>
  thresholds.map((threshold) => Math.max(threshold, 0))

/** @throws {DetectorRefused} unless what was said of the weights is so */
export function checkSize(where: string, said: number | undefined, is: number): void {
  if (said !== undefined && said !== is) refuseAt(where, `is ${said}, but the weights have ${is}`)
}
