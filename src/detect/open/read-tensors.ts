import { tensorAt } from '../../safetensors/columns.ts'
import { DTYPES } from '../../safetensors/dtypes.ts'
import { SafetensorsError } from '../../safetensors/safetensors-error.ts'
import { createValidator } from '../../safetensors/stream.ts'
import type { SafetensorsHeader } from '../../safetensors/stream.ts'
import type { DetectorTensor } from '../detector.ts'
import { DetectorRefused } from '../refused.ts'
import { refuseTensor } from './tensor-taker.ts'

export interface ReadTensors {
  readonly metadata: SafetensorsHeader['metadata']
  /** Views of the file's bytes. */
  readonly tensors: ReadonlyMap<string, DetectorTensor>
}

/**
 * The tensors of a safetensors file, of the dtypes that a detector has, each beginning at a multiple of its element.
 *
 * @throws DetectorRefused saying what is wrong, and where
 */
export function readTensors(bytes: Uint8Array, maxTensors: number): ReadTensors {
  const header = readHeader(bytes, maxTensors)
  return { metadata: header.metadata, tensors: tensorsOf(bytes, header) }
}

function readHeader(bytes: Uint8Array, maxTensors: number): SafetensorsHeader {
  try {
    const validator = createValidator({ fileBytes: bytes.length, maxTensors })
    validator.write(bytes)
    return validator.end()
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    throw new DetectorRefused('file', error.message, error)
  }
}

function tensorsOf(
  bytes: Uint8Array,
  { columns }: SafetensorsHeader,
): ReadonlyMap<string, DetectorTensor> {
  const tensors = new Map<string, DetectorTensor>()
  for (let i = 0; i < columns.count; i += 1) {
    const { name, dtype, shape, begin, end } = tensorAt(columns, i)
    if (!isKnown(dtype)) return refuseTensor(name, `is ${dtype}, which no detector has`)
    const size = (DTYPES[columns.dtypes[i] ?? 0]?.bits ?? 8) / 8
    if (begin % size !== 0)
      refuseTensor(name, `begins at byte ${begin}, not at a multiple of ${size}`)
    tensors.set(name, { dtype, shape, bytes: bytes.subarray(begin, end) })
  }
  return tensors
}

const KNOWN: ReadonlySet<string> = new Set<DetectorTensor['dtype']>([
  'F32',
  'F16',
  'BF16',
  'I8',
  'U8',
  'U32',
  'I32',
])

function isKnown(dtype: string): dtype is DetectorTensor['dtype'] {
  return KNOWN.has(dtype)
}
