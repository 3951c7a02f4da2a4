import type { Members } from '../open/members.ts'
import { optional } from './config-file.ts'
import { vectorOf } from './float-values.ts'
import { matrixFrom, normsOf } from './matrix.ts'
import { checkK, checkSize, type Sae, type SaeOptions } from './sae.ts'
import { type TensorFile, tensorNamed } from './tensor-file.ts'

/**
 * Llama Scope (He et al., 2024, arXiv 2410.20526; `fnlp/Llama3_1-8B-Base-LXR-8x` and its like): hyperparams.json beside
 * `checkpoints/final.safetensors`. The rule is that of its authors' own loader, SparseAutoEncoder.from_config in
 * github.com/OpenMOSS/Language-Model-SAEs, src/lm_saes/sae.py at commit f0058a58 of November 2024:
 *
 * 1. `dataset-wise` normalisation: f = √d_model / average norm; the biases are divided by it and the weights left, so
 *    that raw activations go in (`standardize_parameters_of_dataset_activation_scaling`);
 * 2. with `sparsity_include_decoder_norm`, encoder and bias are multiplied by the norm of the latent's column of the
 *    decoder, after the scaling of step 1 (`transform_to_unit_decoder_norm`);
 * 3. the latent is p where p > jump_relu_threshold, else 0. A `topk` with a threshold becomes that too.
 *
 * SAELens (`llama_scope_sae_huggingface_loader`, sae-lens 6.54) leaves step 2 out and scales activations and threshold by
 * f instead, so that its latents are other numbers: `llama-scope-saelens` is its reading.
 */
export async function readLlamaScope(
  file: TensorFile,
  config: Members,
  family: 'llama-scope' | 'llama-scope-saelens',
  options: SaeOptions,
): Promise<Sae> {
  const encoder = matrixFrom(tensorNamed(file, 'encoder.weight'), 0)
  const { latents, columns: dModel } = encoder
  checkSize('hyperparams.json.d_model', config.integer('d_model', 1, 2 ** 31), dModel)
  checkSize('hyperparams.json.d_sae', config.integer('d_sae', 1, 2 ** 31), latents)
  if (flag(config, 'use_glu_encoder', false))
    config.refuse('has a second product in each latent, which no detector has', 'use_glu_encoder')
  const { factor, outFactor } = normFactors(config, dModel)
  const bias = await vectorOf(tensorNamed(file, 'encoder.bias'), [latents])
  const subtracted = await decoderBias(file, config, dModel)
  const shared = { family, encoder, inputScale: options.inputScale ?? 1 } as const

  if (family === 'llama-scope-saelens') {
    const threshold = jumpThreshold(config) * factor
    return {
      ...shared,
      architecture: 'jumprelu',
      k: undefined,
      bias,
      inputScale: shared.inputScale * factor,
      subtracted: undefined,
      scales: undefined,
      thresholds: new Float64Array(latents).fill(threshold),
      notes: { norm_factor: factor, threshold },
    }
  }
  const norms = await decoderNorms(file, config, latents, factor / outFactor)
  const { architecture, k, threshold } = activation(config, latents)
  return {
    ...shared,
    architecture,
    k,
    bias: bias.map((value) => value / factor),
    subtracted: subtracted?.map((value) => value / outFactor),
    scales: norms,
    thresholds: threshold === undefined ? undefined : new Float64Array(latents).fill(threshold),
    notes: { norm_factor: factor, threshold, decoder_norms: norms && extentOf(norms) },
  }
}

function activation(
  config: Members,
  latents: number,
): Pick<Sae, 'architecture' | 'k'> & { threshold: number | undefined } {
  const name = config.choice('act_fn', ['relu', 'jumprelu', 'topk'])
  const threshold = optional(config, 'jump_relu_threshold', (key) => config.number(key, 0, 1e30))
  if (name === 'jumprelu' || (name === 'topk' && (threshold ?? 0) > 0))
    return { architecture: 'jumprelu', k: undefined, threshold: jumpThreshold(config) }
  if (name === 'relu') return { architecture: 'relu', k: undefined, threshold: undefined }
  const k = checkK(config.integer('top_k', 1, 2 ** 31), latents, 'hyperparams.json.top_k')
  return { architecture: 'topk', k, threshold: undefined }
}

const jumpThreshold = (config: Members): number => config.number('jump_relu_threshold', 0, 1e30)

/** What makes activations of a norm of √d_model on average, before the SAE and after it. */
function normFactors(config: Members, dModel: number): { factor: number; outFactor: number } {
  const way = config.choice('norm_activation', ['dataset-wise', 'inference', 'none', 'token-wise', 'batch-wise']) // prettier-ignore
  if (way === 'token-wise' || way === 'batch-wise')
    config.refuse(`is ${way}: each activation has a scale of its own, and that is no encoder’s to fold`, 'norm_activation') // prettier-ignore
  if (way !== 'dataset-wise') return { factor: 1, outFactor: 1 }
  const norms = config.object('dataset_average_activation_norm')
  const into = norms.number('in', 1e-6, 1e12)
  const out = optional(norms, 'out', (key) => norms.number(key, 1e-6, 1e12)) ?? into
  return { factor: Math.sqrt(dModel) / into, outFactor: Math.sqrt(dModel) / out }
}

async function decoderBias(
  file: TensorFile,
  config: Members,
  dModel: number,
): Promise<Float64Array | undefined> {
  const isSubtracted =
    flag(config, 'use_decoder_bias', true) &&
    flag(config, 'apply_decoder_bias_to_pre_encoder', true)
  return isSubtracted ? vectorOf(tensorNamed(file, 'decoder.bias'), [dModel]) : undefined
}

async function decoderNorms(
  file: TensorFile,
  config: Members,
  latents: number,
  scale: number,
): Promise<Float64Array | undefined> {
  if (!flag(config, 'sparsity_include_decoder_norm', true)) return undefined
  const decoder = matrixFrom(tensorNamed(file, 'decoder.weight'), 1)
  checkSize('tensor decoder.weight', decoder.latents, latents)
  return (await normsOf(decoder)).map((norm) => norm * scale)
}

/** What the authors' own configuration takes where the file says nothing. */
const flag = (config: Members, name: string, byDefault: boolean): boolean =>
  optional(config, name, (key) => config.boolean(key)) ?? byDefault

const extentOf = (values: Float64Array): { least: number; most: number } => ({
  least: values.reduce((least, value) => Math.min(least, value), Infinity),
  most: values.reduce((most, value) => Math.max(most, value), 0),
})
