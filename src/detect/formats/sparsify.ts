import type { Members } from '../open/members.ts'
import { optional } from './config-file.ts'
import { vectorOf } from './float-values.ts'
import { matrixFrom } from './matrix.ts'
import { checkK, checkSize, type Sae, type SaeOptions } from './sae.ts'
import { type TensorFile, tensorNamed } from './tensor-file.ts'

/**
 * EleutherAI's sparsify: cfg.json and sae.safetensors. `SparseCoder.encode` and `FusedEncoder` of
 * github.com/EleutherAI/sparsify, sparsify/sparse_coder.py and fused_encoder.py at commit 9d3b136c:
 * the k largest of relu((x − b_dec) Wᵀ + b); a transcoder (`transcode`) takes x as it is. `groupmax` picks one latent
 * of each group instead, and the `signed` of early versions kept negative ones: no detector has either.
 */
export async function readSparsify(
  file: TensorFile,
  config: Members,
  { inputScale = 1 }: SaeOptions,
): Promise<Sae> {
  const encoder = matrixFrom(tensorNamed(file, 'encoder.weight'), 0)
  const { latents, columns: dModel } = encoder
  checkSize('cfg.json.d_in', config.integer('d_in', 1, 2 ** 31), dModel)
  checkSize('cfg.json.num_latents', latentsSaid(config, dModel), latents)
  optional(config, 'activation', (key) => config.choice(key, ['topk']))
  if (optional(config, 'signed', (key) => config.boolean(key)) === true)
    config.refuse('keeps negative latents, which no detector has', 'signed')
  const isTranscoder = optional(config, 'transcode', (key) => config.boolean(key)) ?? false
  return {
    family: 'sparsify',
    architecture: 'topk',
    k: checkK(config.integer('k', 1, 2 ** 31), latents, 'cfg.json.k'),
    encoder,
    bias: await vectorOf(tensorNamed(file, 'encoder.bias'), [latents]),
    inputScale,
    subtracted: isTranscoder ? undefined : await vectorOf(tensorNamed(file, 'b_dec'), [dModel]),
    scales: undefined,
    thresholds: undefined,
    notes: {},
  }
}

/** 0 latents stand for `expansion_factor` times the width. */
function latentsSaid(config: Members, dModel: number): number | undefined {
  const said = optional(config, 'num_latents', (key) => config.integer(key, 0, 2 ** 31)) ?? 0
  if (said > 0) return said
  const factor = optional(config, 'expansion_factor', (key) => config.integer(key, 1, 2 ** 20))
  return factor === undefined ? undefined : factor * dModel
}
