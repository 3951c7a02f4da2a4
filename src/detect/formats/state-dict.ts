import { refuseAt } from '../open/members.ts'
import { vectorOf } from './float-values.ts'
import { matrixFrom } from './matrix.ts'
import { checkK, type Sae, type SaeOptions } from './sae.ts'
import { type TensorFile, tensorNamed } from './tensor-file.ts'

const K = 64

/**
 * The plain state dict of two linear layers, `encoder` and `decoder`, as a migrated checkpoint holds it: the k largest
 * of relu(x Wᵀ + b), 64 unless told (Gao et al., 2024, who subtract the decoder's bias from x first: an option). The
 * file doesn't say what it is, so nobody takes it for this without being told.
 */
export async function readStateDict(
  file: TensorFile,
  { inputScale = 1, k = K, decoderBias }: SaeOptions,
): Promise<Sae> {
  const encoder = matrixFrom(tensorNamed(file, 'encoder.weight'), 0)
  const { latents, columns: dModel } = encoder
  const decoder = file.tensors.get('decoder.weight')
  if (decoder !== undefined && (decoder.shape[0] !== dModel || decoder.shape[1] !== latents))
    refuseAt('tensor decoder.weight', `has the shape [${decoder.shape.join(', ')}], not [${dModel}, ${latents}]`) // prettier-ignore
  return {
    family: 'state-dict',
    architecture: 'topk',
    k: checkK(k, latents, 'k'),
    encoder,
    bias: await vectorOf(tensorNamed(file, 'encoder.bias'), [latents]),
    inputScale,
    subtracted:
      decoderBias === 'subtracted'
        ? await vectorOf(tensorNamed(file, 'decoder.bias', 'b_dec'), [dModel])
        : undefined,
    scales: undefined,
    thresholds: undefined,
    notes: {},
  }
}
