import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import type { Sha256 } from '../registry/names.ts'
import { createValidator, type SafetensorsHeader } from '../safetensors/stream.ts'
import { localErrorOf } from './local-failure.ts'
import { sizeOf } from './push-files.ts'

const READ_BYTES = 1024 * 1024

export interface ReadSafetensors {
  readonly header: SafetensorsHeader
  readonly sha256: Sha256
}

/**
 * Reads and validates a local file from end to end.
 *
 * @throws {SafetensorsError} at the first byte that no valid file has; {LocalError}; what `onBytes` throws
 */
export async function readSafetensors(
  local: string,
  onBytes: (bytes: number) => void,
): Promise<ReadSafetensors> {
  const validator = createValidator({ fileBytes: await sizeOf(local) })
  const whole = createHash('sha256')
  try {
    for await (const piece of createReadStream(local, { highWaterMark: READ_BYTES })) {
      const chunk = piece as Uint8Array
      validator.write(chunk)
      whole.update(chunk)
      onBytes(chunk.length)
    }
  } catch (error) {
    throw localErrorOf(local, error)
  }
  return { header: validator.end(), sha256: whole.digest('hex') as Sha256 }
}
