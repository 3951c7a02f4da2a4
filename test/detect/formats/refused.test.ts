import { join } from 'node:path'
import t from 'tap'
import { DetectorRefused } from '../../../src/detect/refused.ts'
import type { Family } from '../../../src/detect/formats/sae.ts'
import {
  type Case,
  D_MODEL,
  HYPERPARAMS,
  lower,
  matrix,
  safetensors,
  SAELENS,
  type SaeTensor,
  SPARSIFY,
  vector,
  WIDTH,
  writeCase,
} from './families.ts'
import { imported, readingOnly } from './imported.ts'

// Files that lie about themselves, or are of a kind that a detector can't compute: refused by what is wrong, and never
// read as something else.

const folder = t.testdir()
let count = 0

async function refusalOf(
  family: Family,
  files: Case['files'],
  options: Case['options'] = {},
): Promise<string> {
  count += 1
  const path = writeCase({ title: '', family, files }, join(folder, String(count)))
  const asked = family === 'state-dict' ? family : undefined
  const outcome: unknown = await imported(path, asked, [readingOnly([0, 3], WIDTH)], options).catch(
    (error: unknown) => error,
  )
  return outcome instanceof DetectorRefused ? outcome.message : `not refused: ${String(outcome)}`
}

const NAMED = { W_enc: matrix(D_MODEL, WIDTH), b_enc: vector(WIDTH), W_dec: matrix(WIDTH, D_MODEL), b_dec: vector(D_MODEL) } // prettier-ignore
const LAYERS = { 'encoder.weight': matrix(WIDTH, D_MODEL), 'encoder.bias': vector(WIDTH), 'decoder.weight': matrix(D_MODEL, WIDTH), 'decoder.bias': vector(D_MODEL), W_dec: matrix(WIDTH, D_MODEL), b_dec: vector(D_MODEL) } // prettier-ignore

const saelens = (
  config: object,
  tensors: Record<string, SaeTensor | undefined> = {},
): Promise<string> =>
  refusalOf('saelens', {
    'cfg.json': { ...SAELENS, ...config },
    'sae_weights.safetensors': safetensors(present({ ...NAMED, ...tensors })),
  })
const llama = (config: object, tensors: Record<string, SaeTensor> = {}): Promise<string> =>
  refusalOf('llama-scope', {
    'hyperparams.json': { ...HYPERPARAMS, ...config },
    'checkpoints/final.safetensors': safetensors({ ...LAYERS, ...tensors }),
  })
const sparsify = (config: object): Promise<string> =>
  refusalOf('sparsify', {
    'cfg.json': { ...SPARSIFY, ...config },
    'sae.safetensors': safetensors(LAYERS),
  })
const gemma = (tensors: Record<string, SaeTensor>, config: object = {}): Promise<string> =>
  refusalOf('gemma-scope-2', {
    'config.json': config,
    'params.safetensors': safetensors(lower({ ...NAMED, ...tensors })),
  })

const present = (tensors: Record<string, SaeTensor | undefined>): Record<string, SaeTensor> =>
  Object.fromEntries(Object.entries(tensors).flatMap(([name, tensor]) => (tensor === undefined ? [] : [[name, tensor]]))) // prettier-ignore

const at = (tensor: SaeTensor, index: number, value: number): SaeTensor => ({
  ...tensor,
  values: tensor.values.with(index, value),
})

const REFUSED: readonly (readonly [string, () => Promise<string>, string])[] = [
  ['a width that the weights have not', () => saelens({ d_sae: 2 ** 30 }), 'cfg.json.d_sae: '],
  ['a width of 2^40', () => saelens({ d_sae: 2 ** 40 }), 'cfg.json.d_sae: '],
  ['a width in words', () => saelens({ d_in: '4096' }), 'cfg.json.d_in: '],
  ['an unknown architecture', () => saelens({ architecture: 'novel' }), 'cfg.json.architecture: '],
  ['latents that may be negative', () => saelens({ architecture: 'abstopk' }), 'cfg.json.architecture: '], // prettier-ignore
  ['a temporal SAE', () => saelens({ architecture: 'temporal' }), 'cfg.json.architecture: '],
  ['matching pursuit', () => saelens({ architecture: 'matching_pursuit' }), 'cfg.json.architecture: '], // prettier-ignore
  ['an unknown activation', () => saelens({ activation_fn: 'tanh-relu' }), 'cfg.json.activation_fn: '], // prettier-ignore
  ['a norm of each token', () => saelens({ normalize_activations: 'layer_norm' }), 'cfg.json.normalize_activations: '], // prettier-ignore
  ['a norm of each token, by its length', () => saelens({ normalize_activations: 'constant_norm_rescale' }), 'cfg.json.normalize_activations: '], // prettier-ignore
  ['a factor that is not told', () => saelens({ normalize_activations: 'expected_average_only_in' }), 'cfg.json.normalize_activations: '], // prettier-ignore
  ['a huge k', () => saelens({ architecture: 'topk', k: 2 ** 31 }), 'cfg.json.k: '],
  ['a k beyond the latents', () => saelens({ architecture: 'topk', k: WIDTH + 1 }), 'cfg.json.k: '],
  ['no k', () => saelens({ architecture: 'topk' }), 'cfg.json.k: '],
  ['no threshold', () => saelens({ architecture: 'jumprelu' }), 'tensor threshold or log_threshold: '], // prettier-ignore
  ['a threshold that is NaN', () => saelens({ architecture: 'jumprelu' }, { threshold: at(vector(WIDTH), 2, NaN) }), 'tensor threshold: '], // prettier-ignore
  ['a logarithm that overflows', () => saelens({ architecture: 'jumprelu' }, { log_threshold: at(vector(WIDTH), 3, 1000) }), 'tensor sae.threshold: '], // prettier-ignore
  ['a gate that overflows', () => saelens({ architecture: 'gated' }, { b_gate: vector(WIDTH), b_mag: vector(WIDTH), r_mag: at(vector(WIDTH), 0, 200) }), 'tensor r_mag: '], // prettier-ignore
  ['no bias', () => saelens({}, { b_enc: undefined }), 'tensor b_enc: '],
  ['a bias of another length', () => saelens({}, { b_enc: vector(WIDTH + 1) }), 'tensor b_enc: '],
  ['weights that are infinite', () => saelens({}, { W_enc: at(matrix(D_MODEL, WIDTH), 3, Infinity) }), 'tensor W_enc: '], // prettier-ignore
  ['weights beyond f32', () => saelens({}, { W_enc: at(matrix(D_MODEL, WIDTH, 'F64'), 3, 1e300) }), 'tensor W_enc: '], // prettier-ignore
  ['a decoder’s bias that is infinite', () => saelens({}, { b_dec: at(vector(D_MODEL), 1, Infinity) }), 'tensor b_dec: '], // prettier-ignore
  ['a matrix of three dimensions', () => saelens({}, { W_enc: { shape: [1, D_MODEL, WIDTH], values: matrix(D_MODEL, WIDTH).values } }), 'tensor W_enc: '], // prettier-ignore
  ['a matrix of nothing', () => saelens({}, { W_enc: { shape: [0, WIDTH], values: new Float64Array() } }), 'tensor W_enc: '], // prettier-ignore
  ['a norm of each token in Llama Scope', () => llama({ norm_activation: 'token-wise' }), 'hyperparams.json.norm_activation: '], // prettier-ignore
  ['an average norm of 0', () => llama({ dataset_average_activation_norm: { in: 0 } }), 'hyperparams.json.dataset_average_activation_norm.in: '], // prettier-ignore
  ['a gated linear unit', () => llama({ use_glu_encoder: true }), 'hyperparams.json.use_glu_encoder: '], // prettier-ignore
  ['a threshold that is no number', () => llama({ jump_relu_threshold: 'NaN' }), 'hyperparams.json.jump_relu_threshold: '], // prettier-ignore
  ['a decoder that is infinite', () => llama({}, { 'decoder.weight': at(matrix(D_MODEL, WIDTH), 0, Infinity) }), 'tensor decoder.weight: '], // prettier-ignore
  ['a decoder of another width', () => llama({}, { 'decoder.weight': matrix(D_MODEL, 3) }), 'tensor decoder.weight: '], // prettier-ignore
  ['groups in sparsify', () => sparsify({ activation: 'groupmax' }), 'cfg.json.activation: '],
  ['signed latents in sparsify', () => sparsify({ signed: true }), 'cfg.json.signed: '],
  ['a k of 0', () => sparsify({ k: 0 }), 'cfg.json.k: '],
  ['latents that sparsify’s weights have not', () => sparsify({ num_latents: 0 }), 'cfg.json.num_latents: '], // prettier-ignore
  ['another architecture in Gemma Scope 2', () => gemma({ threshold: vector(WIDTH) }, { architecture: 'crosscoder' }), 'config.json.architecture: '], // prettier-ignore
  ['no threshold in Gemma Scope 2', () => gemma({}), 'tensor threshold: '],
  ['a k beyond the format', () => refusalOf('state-dict', { 'model.safetensors': safetensors(LAYERS) }, { k: 1025 }), 'k: '], // prettier-ignore
  ['a configuration that is not JSON', () => refusalOf('saelens', { 'cfg.json': Buffer.from('{'), 'sae_weights.safetensors': safetensors(NAMED) }), 'cfg.json: '], // prettier-ignore
  ['a list for a configuration', () => refusalOf('saelens', { 'cfg.json': Buffer.from('[]'), 'sae_weights.safetensors': safetensors(NAMED) }), 'cfg.json: '], // prettier-ignore
  ['weights that are a pickle', () => refusalOf('saelens', { 'cfg.json': SAELENS, 'sae_weights.safetensors': Buffer.from('\x80\x02}q\x00.', 'latin1') }), 'file: '], // prettier-ignore
  ['weights that were cut off', () => refusalOf('saelens', { 'cfg.json': SAELENS, 'sae_weights.safetensors': safetensors(NAMED).subarray(0, -1) }), 'file: '], // prettier-ignore
  ['an empty folder', () => refusalOf('saelens', { 'notes.txt': Buffer.from('') }), 'folder: '],
  ['a folder of two families', () => refusalOf('saelens', { 'cfg.json': SAELENS, 'sae_weights.safetensors': safetensors(NAMED), 'sae.safetensors': safetensors(LAYERS) }), 'file: '], // prettier-ignore
]

for (const [what, refusal, where] of REFUSED) {
  t.test(`refused: ${what}`, async (t) => {
    const message = await refusal()
    t.equal(message.slice(0, where.length), where, message)
  })
}

t.test('a state dict is never guessed', async (t) => {
  const path = writeCase({ title: '', family: 'state-dict', files: { 'model.safetensors': safetensors(LAYERS) } }, join(folder, 'dict')) // prettier-ignore
  await t.rejects(imported(path, undefined, [readingOnly([0], WIDTH)]), /must be called one/)
})
