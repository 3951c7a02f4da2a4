import type { Members } from '../open/members.ts'
import { refuseAt } from '../open/members.ts'
import { vectorOf } from './float-values.ts'
import { type Matrix, matrixFrom, normsOf } from './matrix.ts'
import { checkK, checkSize, notNegative, type Sae, type SaeOptions } from './sae.ts'
import { readSaelensConfig, type SaelensConfig } from './saelens-config.ts'
import { type TensorFile, tensorNamed } from './tensor-file.ts'

/**
 * SAELens: cfg.json and sae_weights.safetensors, W_enc `[d_in, d_sae]`. As `SAE.process_sae_in` and each class's
 * `encode` have it in github.com/jbloomAus/SAELens, sae_lens/saes at 6.18 and sae-lens 6.54:
 * p = (x − b_dec) W_enc + b_enc, nothing subtracted unless `apply_b_dec_to_input`, and never by a transcoder; times the
 * decoder's norms before selection with `rescale_acts_by_decoder_norm`; a latent is
 *
 * - `standard`: relu(p); `topk`: the k largest, then relu
 * - `jumprelu`: relu(p) · (p > threshold), the threshold given as such or as its logarithm
 * - `batchtopk` and its matryoshka kind, where training was saved: the same with the one `topk_threshold`, which is how
 *   SAELens saves them for inference
 * - `gated`: (π > 0) · relu(m), π = x W + b_gate, m = x (W · exp(r_mag)) + b_mag. That is JumpReLU on m with the threshold
 *   b_mag − exp(r_mag) · b_gate (Rajamanoharan et al., 2024, arXiv 2404.16014, appendix on weight sharing)
 */
export async function readSaelens(
  file: TensorFile,
  members: Members,
  { inputScale }: SaeOptions,
): Promise<Sae> {
  const config = readSaelensConfig(members)
  const encoder = matrixFrom(tensorNamed(file, 'W_enc'), 1)
  const { latents, columns: dModel } = encoder
  checkSize('cfg.json.d_in', config.dIn, dModel)
  checkSize('cfg.json.d_sae', config.dSae, latents)
  if (config.needsInputScale && inputScale === undefined)
    refuseAt('cfg.json.normalize_activations', 'is expected_average_only_in, whose factor the files do not hold: give it as the scale of the input') // prettier-ignore
  const vector = (name: string, length = latents): Promise<Float64Array> =>
    vectorOf(tensorNamed(file, name), [length])
  const shared = {
    family: 'saelens',
    encoder,
    inputScale: inputScale ?? 1,
    subtracted: config.subtractsDecoderBias ? await vector('b_dec', dModel) : undefined,
    notes: { architecture: config.architecture },
  } as const
  const scales = config.rescalesByDecoder ? await decoderNorms(file, encoder) : undefined

  switch (config.kind) {
    case 'relu':
      return { ...shared, architecture: 'relu', k: undefined, bias: await vector('b_enc'), scales, thresholds: undefined } // prettier-ignore
    case 'topk':
      return {
        ...shared,
        architecture: 'topk',
        k: checkK(config.k ?? 0, latents, 'cfg.json.k'),
        bias: await vector('b_enc'),
        scales,
        thresholds: undefined,
      }
    case 'gated':
      return { ...shared, ...(await gated(vector)) }
    case 'batchtopk':
    case 'jumprelu': {
      const thresholds = notNegative(await thresholdsOf(file, config, latents))
      return { ...shared, architecture: 'jumprelu', k: undefined, bias: await vector('b_enc'), scales, thresholds } // prettier-ignore
    }
  }
}

async function gated(
  vector: (name: string) => Promise<Float64Array>,
): Promise<Pick<Sae, 'architecture' | 'k' | 'bias' | 'scales' | 'thresholds'>> {
  const bGate = await vector('b_gate')
  const bMag = await vector('b_mag')
  const scales = (await vector('r_mag')).map(Math.exp)
  const at = scales.findIndex((scale) => !(scale > 1e-30 && scale < 1e30))
  if (at !== -1) refuseAt('tensor r_mag', `makes a scale beyond f32 at element ${at}`)
  const of = (values: Float64Array, i: number): number => values[i] ?? 0
  return {
    architecture: 'jumprelu',
    k: undefined,
    scales,
    bias: bMag.map((value, i) => value / of(scales, i)),
    thresholds: notNegative(bMag.map((value, i) => value - of(scales, i) * of(bGate, i))),
  }
}

async function thresholdsOf(
  file: TensorFile,
  { kind }: SaelensConfig,
  latents: number,
): Promise<Float64Array> {
  if (kind === 'batchtopk' && !file.tensors.has('threshold')) {
    const [one = 0] = await vectorOf(tensorNamed(file, 'topk_threshold'), [])
    return new Float64Array(latents).fill(one)
  }
  const tensor = tensorNamed(file, 'threshold', 'log_threshold')
  const values = await vectorOf(tensor, [latents])
  return tensor.name === 'threshold' ? values : values.map(Math.exp)
}

async function decoderNorms(file: TensorFile, encoder: Matrix): Promise<Float64Array> {
  const decoder = matrixFrom(tensorNamed(file, 'W_dec'), 0)
  checkSize('tensor W_dec', decoder.latents, encoder.latents)
  return normsOf(decoder)
}
