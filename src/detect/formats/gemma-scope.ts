import type { Members } from '../open/members.ts'
import { optional } from './config-file.ts'
import { vectorOf } from './float-values.ts'
import { matrixFrom } from './matrix.ts'
import { notNegative, type Sae, type SaeOptions } from './sae.ts'
import { type TensorFile, tensorNamed } from './tensor-file.ts'

/**
 * Gemma Scope (Lieberum et al., 2024, arXiv 2408.05147): params.npz with W_enc `[d_model, width]`, b_enc, threshold and
 * a decoder; Gemma Scope 2: params.safetensors with the same in lower case, beside a config.json. A latent is
 * relu(p) · (p > threshold) with p = x W_enc + b_enc: nothing is subtracted from x. So in the tutorial that the release
 * links to, and in SAELens (`gemma_2_sae_huggingface_loader`, `gemma_3_sae_huggingface_loader`, sae-lens 6.54).
 * Transcoders are of this form too; crosscoders have three dimensions, and are refused.
 */
export async function readGemmaScope(
  file: TensorFile,
  config: Members | undefined,
  family: 'gemma-scope' | 'gemma-scope-2',
  { inputScale = 1 }: SaeOptions,
): Promise<Sae> {
  if (config !== undefined) optional(config, 'architecture', (key) => config.choice(key, ['jump_relu', 'jumprelu'])) // prettier-ignore
  const encoder = matrixFrom(tensorNamed(file, 'W_enc', 'w_enc'), 1)
  const shape = [encoder.latents]
  const bias = await vectorOf(tensorNamed(file, 'b_enc'), shape)
  const thresholds = notNegative(await vectorOf(tensorNamed(file, 'threshold'), shape))
  return {
    family,
    architecture: 'jumprelu',
    k: undefined,
    encoder,
    bias,
    inputScale,
    subtracted: undefined,
    scales: undefined,
    thresholds,
    notes: {},
  }
}
