import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { type StoragePlace, wrongChecksum } from './checkpoint.ts'
import type { Source } from './source.ts'

/** Small enough that what is read is still in the processor's cache for whatever else is done with it. */
export const READ_BYTES = 1024 * 1024

/**
 * Reads a file from end to end, and its storages, where it has some, against what its archive says of their bytes.
 *
 * @param take gets all that is read, piece by piece, each of them gone when it returns.
 * @returns the file's SHA-256
 * @throws {ConversionRefused}
 */
export function readThrough(
  source: Source,
  places: ReadonlyMap<string, StoragePlace> = new Map(),
  take: (piece: Uint8Array, begin: number) => void = () => undefined,
): string {
  const whole = createHash('sha256')
  const check = createCheck(places)
  const buffer = new Uint8Array(Math.min(READ_BYTES, source.sizeBytes))
  for (let at = 0; at < source.sizeBytes; at += READ_BYTES) {
    const piece = buffer.subarray(0, Math.min(READ_BYTES, source.sizeBytes - at))
    source.fill(piece, at)
    whole.update(piece)
    check(piece, at)
    take(piece, at)
  }
  return whole.digest('hex')
}

/** @returns what takes a file piece by piece and throws where a storage is not what its CRC-32 says. */
function createCheck(
  places: ReadonlyMap<string, StoragePlace>,
): (piece: Uint8Array, begin: number) => void {
  const waiting = [...places]
    .filter(([, place]) => place.crc32 !== undefined)
    .sort(([, a], [, b]) => b.begin - a.begin)
  let found = 0

  return (piece, begin) => {
    const end = begin + piece.length
    for (
      let next = waiting.at(-1);
      next !== undefined && next[1].begin < end;
      next = waiting.at(-1)
    ) {
      const [key, place] = next
      const [first, last] = [Math.max(place.begin, begin), Math.min(place.end, end)]
      found = crc32(piece.subarray(first - begin, last - begin), found)
      if (place.end > end) return
      if (found !== place.crc32) throw wrongChecksum(`the storage ${key}`)
      waiting.pop()
      found = 0
    }
  }
}
