import { tensorAt } from '../../safetensors/columns.ts'
import { SafetensorsError } from '../../safetensors/safetensors-error.ts'
import { createValidator, type SafetensorsHeader } from '../../safetensors/stream.ts'
import { DetectorRefused } from '../refused.ts'
import type { RandomAccess } from './random-access.ts'
import type { OpenedTensors, StoredTensor } from './tensor-file.ts'

/** No autoencoder has more than a dozen. */
const MAX_TENSORS = 4096
const MAX_HEADER_BYTES = 16 * 1024 * 1024

/** The tensors of a safetensors file; only its header is read now. */
export async function openSafetensors(file: RandomAccess): Promise<OpenedTensors> {
  const { columns, metadata } = await readHeader(file)
  const tensors = new Map<string, StoredTensor>()
  for (let i = 0; i < columns.count; i += 1) {
    const { name, dtype, shape, begin, end } = tensorAt(columns, i)
    const read = (): AsyncIterable<Uint8Array> => file.stream(begin, end)
    tensors.set(name, { name, dtype, shape, fastest: 'last', read })
  }
  return { tensors, metadata }
}

async function readHeader({ sizeBytes, stream }: RandomAccess): Promise<SafetensorsHeader> {
  const validator = createValidator({
    fileBytes: sizeBytes,
    maxTensors: MAX_TENSORS,
    maxHeaderBytes: MAX_HEADER_BYTES,
  })
  try {
    for await (const piece of stream(0, sizeBytes)) {
      validator.write(piece)
      // What follows is data, and its length is known.
      if (validator.header !== undefined) return validator.header
    }
    return validator.end()
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    throw new DetectorRefused('file', error.message, error)
  }
}
