import { invalidField, RegistryError } from '../errors.ts'
import { tensorAt } from '../safetensors/columns.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { createValidator, type SafetensorsHeader } from '../safetensors/stream.ts'
import type { ActivationsRequest } from './detection.ts'

/** What a caller sends: its model's activations, and perhaps where each token lies. */
export type Activations = Pick<
  ActivationsRequest,
  'dtype' | 'bytes' | 'tokens' | 'dModel' | 'offsets'
>

const NAMES = ['activations', 'offsets']
/** Room for what a caller has in `__metadata__`. */
const MAX_HEADER_BYTES = 64 * 1024

interface Tensor {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

/**
 * Reads the safetensors file that `/detect/activations` takes: `activations` `[tokens, dModel]` in F32, F16 or BF16, and
 * perhaps `offsets` `[tokens, 2]` in 32 or 64 bits.
 *
 * @throws {RegistryError} INVALID_SAFETENSORS, INVALID_REQUEST
 */
export function readActivations(file: Uint8Array): Activations {
  const tensors = tensorsOf(file, headerOf(file))
  const activations = tensors.get('activations')
  if (activations === undefined) throw invalidField('body.activations', 'must be in the file')
  const { dtype, shape, bytes } = activations
  const [tokens, dModel] = shape
  if (tokens === undefined || dModel === undefined || dModel === 0 || shape.length !== 2)
    throw invalidField('body.activations', 'must have the shape [tokens, d_model]')
  if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16')
    throw invalidField('body.activations', 'must be F32, F16 or BF16')
  const offsets = tensors.get('offsets')
  return { dtype, bytes, tokens, dModel, offsets: offsets && offsetsOf(offsets, tokens) }
}

function headerOf(file: Uint8Array): SafetensorsHeader {
  const limits = { maxTensors: NAMES.length, maxHeaderBytes: MAX_HEADER_BYTES }
  try {
    const validator = createValidator({ fileBytes: file.length, ...limits })
    validator.write(file)
    return validator.end()
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    const { reason, message, offset, tensor, looksLike } = error
    const facts = { reason, offset, tensor, looks_like: looksLike }
    throw new RegistryError('INVALID_SAFETENSORS', message, facts, error)
  }
}

function tensorsOf(file: Uint8Array, { columns }: SafetensorsHeader): ReadonlyMap<string, Tensor> {
  const tensors = new Map<string, Tensor>()
  for (let i = 0; i < columns.count; i++) {
    const { name, dtype, shape, begin, end } = tensorAt(columns, i)
    if (!NAMES.includes(name))
      throw invalidField(
        'body',
        'must hold `activations`, `offsets` if need be, and no other tensor',
      )
    tensors.set(name, { dtype, shape, bytes: file.subarray(begin, end) })
  }
  return tensors
}

/** How an integer of little-endian bytes is read. */
const INTEGERS: Readonly<
  Record<string, readonly [number, (view: DataView, at: number) => number]>
> = {
  I32: [4, (view, at) => view.getInt32(at, true)],
  U32: [4, (view, at) => view.getUint32(at, true)],
  I64: [8, (view, at) => Number(view.getBigInt64(at, true))],
  U64: [8, (view, at) => Number(view.getBigUint64(at, true))],
}

function offsetsOf({ dtype, shape, bytes }: Tensor, tokens: number): Float64Array {
  const [size, read] = INTEGERS[dtype] ?? []
  if (size === undefined || read === undefined)
    throw invalidField('body.offsets', 'must be I32, U32, I64 or U64')
  if (shape.length !== 2 || shape[0] !== tokens || shape[1] !== 2)
    throw invalidField('body.offsets', 'must have the shape [tokens, 2]')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const offsets = new Float64Array(tokens * 2)
  for (let i = 0; i < offsets.length; i++) offsets[i] = read(view, i * size)
  for (let row = 0; row < tokens; row++) checkRow(offsets, row)
  return offsets
}

/** Tokens may share a place, as those of one character's bytes do, and never go back. */
function checkRow(offsets: Float64Array, row: number): void {
  const begin = offsets[row * 2] ?? -1
  const end = offsets[row * 2 + 1] ?? -1
  if (!(begin >= 0 && begin <= end && end <= Number.MAX_SAFE_INTEGER))
    throw invalidField('body.offsets', `must be a begin and an end, not before it, in row ${row}`)
  if (row === 0) return
  if (begin < (offsets[row * 2 - 2] ?? 0) || end < (offsets[row * 2 - 1] ?? 0))
    throw invalidField('body.offsets', `must not descend, as row ${row} does after the one before`)
}
