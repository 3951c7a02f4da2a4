import { createHeaderWriter } from '../safetensors/header-writer.ts'
import { HEAD_BYTES, looksLike } from '../safetensors/sniff.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { createValidator } from '../safetensors/stream.ts'
import { dtypeFacts } from './dtypes.ts'
import { type Checkpoint, readLegacyCheckpoint, readZipCheckpoint } from './checkpoint.ts'
import type { ConversionLimits } from './limits.ts'
import { SOURCE_KEY } from './own-keys.ts'
import { type Plan, planOf } from './plan.ts'
import { ConversionRefused } from './refused.ts'
import { refuseTar } from './refuse-tar.ts'
import type { Source } from './source.ts'
import { type StateDict, stateDictOf } from './state-dict.ts'
import { shown } from './values.ts'

export interface ConversionOptions {
  /** Keys that lead to the weights, joined with dots; undefined to look for them. */
  readonly root: string | undefined
  readonly writesTiedTwice: boolean
  readonly isOpaqueAllowed: boolean
  readonly limits: ConversionLimits
}

/** A checkpoint as far as it can be judged without its numbers. */
export interface Weights {
  readonly checkpoint: Checkpoint
  readonly stateDict: StateDict
  readonly plan: Plan
}

/** Stands for a hash that isn't known yet. */
export const UNKNOWN_SHA256 = '0'.repeat(64)
const SLACK_BYTES = 64 * 1024 * 1024

/** @throws {ConversionRefused} */
export const readWeights = (source: Source, options: ConversionOptions): Weights =>
  weightsOf(readCheckpoint(source, options), source.sizeBytes, options)

/** @throws {ConversionRefused} */
export function weightsOf(
  checkpoint: Checkpoint,
  sizeBytes: number,
  options: ConversionOptions,
): Weights {
  const stateDict = stateDictOf(checkpoint.value, options.root, options.limits)
  const plan = planOf(stateDict, {
    writesTiedTwice: options.writesTiedTwice,
    maxDataBytes: sizeBytes * options.limits.maxGrowth + SLACK_BYTES,
  })
  if (checkpoint.isBigEndian) checkWidths(plan)
  const header = headerOf(plan, UNKNOWN_SHA256)
  checkHeader(header, plan.dataBytes)
  return { checkpoint, stateDict, plan }
}

/**
 * PyTorch turns the numbers of a big-endian file round by the type of their storage. A tensor of another width would be read
 * as other numbers there than were written.
 */
function checkWidths({ tensors }: Plan): void {
  for (const { name, view } of tensors) {
    const { dtype } = view.storage
    if ((dtype === undefined ? 1 : dtypeFacts(dtype).bytes) !== view.elementBytes)
      throw new ConversionRefused('tensor', `${shown(name)} is big-endian, in a storage of another type`) // prettier-ignore
  }
}

const GUESSES: Readonly<Record<string, string>> = {
  unknown: 'of no format that is known',
  empty: 'it is empty',
}

/** By what its first bytes are, whatever the file is named. @throws {ConversionRefused} */
export function readCheckpoint(source: Source, options: ConversionOptions): Checkpoint {
  refuseTar(source)
  const format = looksLike(source.take(0, Math.min(HEAD_BYTES, source.sizeBytes)))
  if (format === 'torch_zip') return readZipCheckpoint(source, options)
  if (format === 'torch_legacy') return readLegacyCheckpoint(source, options)
  const guess = GUESSES[format] ?? `it looks like ${format}`
  throw new ConversionRefused('not_a_checkpoint', `it is no checkpoint of torch.save: ${guess}`)
}

/** @param sourceSha256 whatever it is, the header is as long. */
export function headerOf({ tensors, metadata }: Plan, sourceSha256: string): Uint8Array {
  const header = createHeaderWriter([...metadata, [SOURCE_KEY, sourceSha256]])
  for (const { name, view } of tensors)
    header.add({ name, dtype: view.dtype, shape: view.shape, size: view.sizeBytes })
  return header.finish()
}

/** Names and shapes that PyTorch has and safetensors has not; judged before anything is written. */
function checkHeader(header: Uint8Array, dataBytes: number): void {
  try {
    createValidator({ fileBytes: header.length + dataBytes }).write(header)
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    const where = error.tensor === undefined ? '' : `, at the tensor ${shown(error.tensor)}`
    throw new ConversionRefused('tensor', `safetensors can’t hold it: ${error.message}${where}`, error) // prettier-ignore
  }
}
