import { createHash } from 'node:crypto'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { createValidator } from '../safetensors/stream.ts'
import { READ_BYTES } from './read-through.ts'
import { ConversionRefused } from './refused.ts'
import { refuseTar } from './refuse-tar.ts'
import type { Source } from './source.ts'

/** The reference's cap of a header. */
const MOST_HEADER_BYTES = 100_000_000n

/** The length of a header, and the brace with which one begins: no checkpoint of torch.save does. */
export function isSafetensors(source: Source): boolean {
  if (source.sizeBytes < 9) return false
  const head = source.take(0, 9)
  return head.readBigUInt64LE() <= MOST_HEADER_BYTES && head[8] === '{'.charCodeAt(0)
}

/** What is a safetensors file already, and valid, stays as it is. @throws {ConversionRefused} */
export function passThrough(
  source: Source,
  write: (bytes: Uint8Array, begin: number) => void,
): { tensors: number; dataBytes: number; sourceSha256: string } {
  refuseTar(source)
  const validator = createValidator({ fileBytes: source.sizeBytes })
  const buffer = new Uint8Array(Math.min(READ_BYTES, source.sizeBytes))
  const whole = createHash('sha256')
  try {
    for (let at = 0; at < source.sizeBytes; at += READ_BYTES) {
      const piece = buffer.subarray(0, Math.min(READ_BYTES, source.sizeBytes - at))
      source.fill(piece, at)
      validator.write(piece)
      whole.update(piece)
      write(piece, at)
    }
    const { columns, fileBytes, dataBegin } = validator.end()
    return { tensors: columns.count, dataBytes: fileBytes - dataBegin, sourceSha256: whole.digest('hex') } // prettier-ignore
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    throw new ConversionRefused('damaged', `it begins as safetensors does, but ${error.message}`, error) // prettier-ignore
  }
}
