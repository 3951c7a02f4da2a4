// Small autoencoders of random weights, each in the files of its family.

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { writeSafetensors } from '../../../src/safetensors/write.ts'
import type { Family, SaeOptions } from '../../../src/detect/formats/sae.ts'
import { createRandom } from '../random.ts'
import { npy, zip } from './npz.ts'

export const D_MODEL = 6
export const WIDTH = 10
export const TOKENS = 8

export type Dtype = 'F64' | 'F32' | 'F16' | 'BF16'

export interface SaeTensor {
  readonly shape: readonly number[]
  readonly values: Float64Array
  /** F32 unless told. */
  readonly dtype?: Dtype
}

/** One autoencoder's files, and how it is imported. */
export interface Case {
  readonly title: string
  readonly family: Family
  /** By path. */
  readonly files: Readonly<Record<string, Uint8Array | object>>
  readonly options?: Partial<SaeOptions>
}

const seeds = createRandom(7)
const normal = (length: number, deviation = 1, mean = 0): Float64Array =>
  Float64Array.from({ length }, () => mean + deviation * seeds.normal())

export const matrix = (rows: number, columns: number, dtype: Dtype = 'F32'): SaeTensor => ({
  shape: [rows, columns],
  values: normal(rows * columns, 0.5),
  dtype,
})
export const vector = (length: number, mean = 0, dtype: Dtype = 'F32'): SaeTensor => ({
  shape: [length],
  values: normal(length, 0.3, mean),
  dtype,
})

export function bytesOf({ values, dtype = 'F32' }: SaeTensor): Uint8Array {
  const array =
    dtype === 'F64'
      ? values
      : dtype === 'F32'
        ? Float32Array.from(values)
        : dtype === 'F16'
          ? Float16Array.from(values)
          : Uint16Array.from(new Uint32Array(Float32Array.from(values).buffer), (w) => w >>> 16)
  return new Uint8Array(array.buffer)
}

export const safetensors = (tensors: Readonly<Record<string, SaeTensor>>): Uint8Array =>
  writeSafetensors(
    Object.entries(tensors).map(([name, tensor]) => ({
      name,
      dtype: tensor.dtype ?? 'F32',
      shape: tensor.shape,
      bytes: bytesOf(tensor),
    })),
  )

const DESCRS = { F64: "'<f8'", F32: "'<f4'", F16: "'<f2'", BF16: "'<V2'" }

const npz = (
  tensors: Readonly<Record<string, SaeTensor>>,
  how: { isDeflated?: boolean; order?: 'C' | 'F' },
): Uint8Array =>
  zip(
    Object.entries(tensors).map(([name, tensor]) => ({
      name: `${name}.npy`,
      content: npy(DESCRS[tensor.dtype ?? 'F32'], tensor.shape, bytesOf(tensor), how.order),
      isDeflated: how.isDeflated ?? false,
    })),
  )

/** Layers as PyTorch has them: encoder `[latents, d_model]`, decoder `[d_model, latents]`. */
const layers = (dtype: Dtype = 'F32'): Record<string, SaeTensor> => ({
  'encoder.weight': matrix(WIDTH, D_MODEL, dtype),
  'encoder.bias': vector(WIDTH, 0, dtype),
  'decoder.weight': matrix(D_MODEL, WIDTH, dtype),
  'decoder.bias': vector(D_MODEL, 0, dtype),
})

const named = (dtype: Dtype = 'F32'): Record<string, SaeTensor> => ({
  W_enc: matrix(D_MODEL, WIDTH, dtype),
  b_enc: vector(WIDTH, 0, dtype),
  W_dec: matrix(WIDTH, D_MODEL, dtype),
  b_dec: vector(D_MODEL, 0, dtype),
})

export const lower = (tensors: Record<string, SaeTensor>): Record<string, SaeTensor> =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name.toLowerCase(), tensor]))

export const HYPERPARAMS = {
  d_model: D_MODEL,
  d_sae: WIDTH,
  act_fn: 'jumprelu',
  jump_relu_threshold: 0.4,
  norm_activation: 'dataset-wise',
  dataset_average_activation_norm: { in: 3.5, out: 3.5 },
  sparsity_include_decoder_norm: true,
  use_decoder_bias: true,
  apply_decoder_bias_to_pre_encoder: false,
  hook_point_in: 'blocks.12.hook_resid_post',
  top_k: 3,
}

const llama = (title: string, changes: object, family: Family = 'llama-scope'): Case => ({
  title,
  family,
  files: {
    'hyperparams.json': { ...HYPERPARAMS, ...changes },
    'checkpoints/final.safetensors': safetensors(layers('BF16')),
  },
})

export const SAELENS = {
  architecture: 'standard',
  d_in: D_MODEL,
  d_sae: WIDTH,
  dtype: 'float32',
  apply_b_dec_to_input: true,
  normalize_activations: 'none',
  metadata: { sae_lens_version: '6.18.0' },
}

const saelens = (
  title: string,
  config: object,
  tensors: Record<string, SaeTensor> = {},
  options: Partial<SaeOptions> = {},
): Case => ({
  title,
  family: 'saelens',
  files: {
    'cfg.json': { ...SAELENS, ...config },
    'sae_weights.safetensors': safetensors({ ...named(), ...tensors }),
  },
  options,
})

export const SPARSIFY = {
  d_in: D_MODEL,
  num_latents: WIDTH,
  expansion_factor: 32,
  k: 3,
  normalize_decoder: true,
  multi_topk: false,
}

const sparsify = (title: string, config: object, dtype: Dtype = 'F32'): Case => ({
  title,
  family: 'sparsify',
  files: {
    'cfg.json': { ...SPARSIFY, ...config },
    'sae.safetensors': safetensors({
      'encoder.weight': matrix(WIDTH, D_MODEL, dtype),
      'encoder.bias': vector(WIDTH, 0, dtype),
      W_dec: matrix(WIDTH, D_MODEL, dtype),
      b_dec: vector(D_MODEL, 0, dtype),
    }),
  },
})

const gemma = (
  title: string,
  how: { isDeflated?: boolean; order?: 'C' | 'F' },
  options: Partial<SaeOptions> = {},
): Case => ({
  title,
  family: 'gemma-scope',
  files: { 'params.npz': npz({ ...named(), threshold: vector(WIDTH, 0.1) }, how) },
  options,
})

const GATE = { W_enc: matrix(D_MODEL, WIDTH), W_dec: matrix(WIDTH, D_MODEL), b_dec: vector(D_MODEL), b_gate: vector(WIDTH), b_mag: vector(WIDTH), r_mag: vector(WIDTH) } // prettier-ignore

export const CASES: readonly Case[] = [
  llama('Llama Scope', {}),
  llama('Llama Scope, another norm after than before, its bias subtracted', {
    dataset_average_activation_norm: { in: 3.5, out: 2 },
    apply_decoder_bias_to_pre_encoder: true,
  }),
  llama('Llama Scope, TopK', { act_fn: 'topk', jump_relu_threshold: 0 }),
  llama('Llama Scope, ReLU without norms', {
    act_fn: 'relu',
    norm_activation: 'none',
    sparsity_include_decoder_norm: false,
  }),
  llama('Llama Scope as SAELens reads it', {}, 'llama-scope-saelens'),
  gemma('Gemma Scope', {}),
  gemma('Gemma Scope, compressed', { isDeflated: true }),
  gemma('Gemma Scope in Fortran’s order, activations scaled', { order: 'F' }, { inputScale: 0.5 }),
  {
    title: 'Gemma Scope 2',
    family: 'gemma-scope-2',
    files: {
      'config.json': { architecture: 'jump_relu', model_name: 'gemma-v3-1b-pt', width: WIDTH },
      'params.safetensors': safetensors(lower({ ...named(), threshold: vector(WIDTH, 0.1) })),
    },
  },
  saelens('SAELens, standard', {}),
  saelens('SAELens of before version 6, f64, nothing subtracted', { architecture: undefined, metadata: undefined, activation_fn_str: 'relu', apply_b_dec_to_input: false, normalize_activations: false }, named('F64')), // prettier-ignore
  saelens('SAELens, TopK of before version 6', { activation_fn: 'topk', activation_fn_kwargs: { k: 3 } }), // prettier-ignore
  saelens('SAELens, TopK by the decoder’s norms', { architecture: 'topk', k: 3, rescale_acts_by_decoder_norm: true }), // prettier-ignore
  saelens('SAELens, JumpReLU', { architecture: 'jumprelu' }, { threshold: vector(WIDTH, 0.1) }),
  saelens('SAELens, JumpReLU in training', { architecture: 'jumprelu' }, { log_threshold: vector(WIDTH, -1) }), // prettier-ignore
  saelens('SAELens, BatchTopK in training', { architecture: 'batchtopk', k: 2.5, rescale_acts_by_decoder_norm: true }, { topk_threshold: { shape: [], values: Float64Array.of(0.35), dtype: 'F64' } }), // prettier-ignore
  { ...saelens('', {}), title: 'SAELens, gated', files: { 'cfg.json': { ...SAELENS, architecture: 'gated' }, 'sae_weights.safetensors': safetensors(GATE) } }, // prettier-ignore
  saelens('SAELens, transcoder', { architecture: 'jumprelu_transcoder', apply_b_dec_to_input: false, d_out: 4 }, { W_dec: matrix(WIDTH, 4), b_dec: vector(4), threshold: vector(WIDTH, 0.1) }), // prettier-ignore
  saelens('SAELens, normalised on average', { normalize_activations: 'expected_average_only_in' }, {}, { inputScale: 1.7 }), // prettier-ignore
  sparsify('sparsify', {}),
  sparsify('sparsify, transcoder', { transcode: true, num_latents: 0, expansion_factor: undefined, skip_connection: true }, 'F16'), // prettier-ignore
  {
    title: 'a state dict',
    family: 'state-dict',
    files: { 'model.safetensors': safetensors(layers()) },
    options: { k: 4 },
  },
  {
    title: 'a state dict whose decoder’s bias is subtracted',
    family: 'state-dict',
    files: { 'model.safetensors': safetensors(layers('F16')) },
    options: { k: 4, decoderBias: 'subtracted' },
  },
]

/** `[TOKENS, D_MODEL]` */
export const ACTIVATIONS = Float32Array.from(normal(TOKENS * D_MODEL, 1.5))

/** Writes a case's files; the path that it is imported by. */
export function writeCase({ family, files }: Case, folder: string): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    const bytes = content instanceof Uint8Array ? content : JSON.stringify(content)
    writeFileSync(join(folder, path), bytes)
  }
  return family === 'state-dict' ? join(folder, 'model.safetensors') : folder
}

/** An autoencoder whose latents are the activations, as far as they are over 0. */
export function writeIdentity(folder: string, width: number): string {
  const values = Float64Array.from({ length: width ** 2 }, (_, i) => Number(i % (width + 1) === 0))
  const config = { ...SAELENS, d_in: width, d_sae: width, apply_b_dec_to_input: false }
  const weights = { W_enc: { shape: [width, width], values }, b_enc: { shape: [width], values: new Float64Array(width) } } // prettier-ignore
  const files = { 'cfg.json': config, 'sae_weights.safetensors': safetensors(weights) }
  return writeCase({ title: 'identity', family: 'saelens', files }, folder)
}
