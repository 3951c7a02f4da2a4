import type { Members } from '../open/members.ts'
import { optional } from './config-file.ts'

/** What of SAELens' cfg.json concerns the encoder. */
export interface SaelensConfig {
  /** As the file names it. */
  readonly architecture: string
  readonly kind: 'relu' | 'topk' | 'jumprelu' | 'batchtopk' | 'gated'
  readonly dIn: number
  readonly dSae: number
  readonly k: number | undefined
  readonly subtractsDecoderBias: boolean
  readonly rescalesByDecoder: boolean
  /** Activations were scaled in training, by a factor that isn't in the files. */
  readonly needsInputScale: boolean
}

const KINDS = {
  standard: 'relu',
  topk: 'topk',
  jumprelu: 'jumprelu',
  gated: 'gated',
  batchtopk: 'batchtopk',
  matryoshka_batchtopk: 'batchtopk',
  transcoder: 'relu',
  skip_transcoder: 'relu',
  jumprelu_transcoder: 'jumprelu',
  jumprelu_skip_transcoder: 'jumprelu',
} as const

/** Each is refused by name: to read it as another would give wrong latents. */
const REFUSED: Readonly<Record<string, string>> = {
  abstopk: 'keeps negative latents, which no detector has',
  temporal: 'reads tokens before it, and a detector reads each alone',
  matching_pursuit: 'encodes in steps, each with the decoder: that is no linear encoder',
}

/** @throws {DetectorRefused} */
export function readSaelensConfig(config: Members): SaelensConfig {
  const { architecture, kind } = architectureOf(config)
  const flag = (name: string, byDefault: boolean): boolean =>
    optional(config, name, (key) => config.boolean(key)) ?? byDefault
  const isTranscoder = architecture.includes('transcoder')
  return {
    architecture,
    kind,
    dIn: config.integer('d_in', 1, 2 ** 31),
    dSae: config.integer('d_sae', 1, 2 ** 31),
    k: kind === 'topk' ? kOf(config) : undefined,
    // True where nothing is said, in every version.
    subtractsDecoderBias: !isTranscoder && flag('apply_b_dec_to_input', true),
    rescalesByDecoder: (kind === 'topk' || kind === 'batchtopk') && flag('rescale_acts_by_decoder_norm', false), // prettier-ignore
    needsInputScale: needsInputScale(config, kind),
  }
}

/** Versions before 6 wrote a `standard` with an activation function of its own. */
function architectureOf(config: Members): Pick<SaelensConfig, 'architecture' | 'kind'> {
  const architecture = optional(config, 'architecture', (key) => config.line(key, 60)) ?? 'standard'
  const why = REFUSED[architecture]
  if (why !== undefined) config.refuse(why, 'architecture')
  const found = Object.entries(KINDS).find(([name]) => name === architecture)
  if (found === undefined)
    return config.refuse(`is ${architecture}, which is not read here`, 'architecture')
  const activation = ['activation_fn', 'activation_fn_str']
    .map((name) => optional(config, name, (key) => config.choice(key, ['relu', 'topk'])))
    .find((name) => name !== undefined)
  return { architecture, kind: activation === 'topk' && found[1] === 'relu' ? 'topk' : found[1] }
}

function kOf(config: Members): number {
  const inKwargs = optional(config, 'activation_fn_kwargs', (key) => config.object(key))
  const from = inKwargs?.has('k') === true ? inKwargs : config
  return from.integer('k', 1, 2 ** 31)
}

/** It was a boolean once, whose `true` meant the average. */
function needsInputScale(config: Members, kind: SaelensConfig['kind']): boolean {
  const ways = ['none', 'expected_average_only_in', 'constant_norm_rescale', 'layer_norm', 'covariance_whitening'] as const // prettier-ignore
  const name = 'normalize_activations'
  const way = optional(config, name, (key) =>
    config.isBoolean(key)
      ? config.boolean(key)
        ? 'expected_average_only_in'
        : 'none'
      : config.choice(key, ways),
  )
  if (way === undefined || way === 'none') return false
  if (way !== 'expected_average_only_in') config.refuse(`is ${way}: ${WHY_NOT[way]}`, name)
  if (kind === 'batchtopk')
    config.refuse('is not folded yet: save the SAE for inference first', name)
  return true
}

const WHY_NOT = {
  constant_norm_rescale: 'each activation has a scale of its own, and that is no encoder’s to fold',
  layer_norm: 'each activation has a mean and a scale of its own, and that is no encoder’s to fold',
  covariance_whitening: 'the matrix that whitens is not in the files; SAELens folds it on saving',
} as const
