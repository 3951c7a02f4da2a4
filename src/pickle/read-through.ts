import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { type StoragePlace, wrongChecksum } from './checkpoint.ts'
import type { Source } from './source.ts'

const PIECE_BYTES = 16 * 1024 * 1024

/**
 * Reads a file from end to end, and its storages, where it has some, against what its archive says of their bytes.
 *
 * @returns the file's SHA-256
 * @throws {ConversionRefused}
 */
export function readThrough(
  source: Source,
  places: ReadonlyMap<string, StoragePlace> = new Map(),
): string {
  const whole = createHash('sha256')
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, source.sizeBytes))

  /** @returns the CRC-32 of these bytes, where it is wanted */
  function read(begin: number, end: number, isChecked: boolean): number {
    let found = 0
    for (let at = begin; at < end; at += PIECE_BYTES) {
      const piece = buffer.subarray(0, Math.min(PIECE_BYTES, end - at))
      source.fill(piece, at)
      whole.update(piece)
      if (isChecked) found = crc32(piece, found)
    }
    return found
  }

  const inOrder = [...places].sort(([, a], [, b]) => a.begin - b.begin)
  let at = 0
  for (const [key, { begin, end, crc32: wanted }] of inOrder) {
    read(at, begin, false)
    const found = read(begin, end, wanted !== undefined)
    if (wanted !== undefined && found !== wanted) throw wrongChecksum(`the storage ${key}`)
    at = end
  }
  read(at, source.sizeBytes, false)
  return whole.digest('hex')
}
