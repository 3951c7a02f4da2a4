import { readSync } from 'node:fs'
import { ConversionRefused } from './refused.ts'

/**
 * A file that is read here and there, at once: whoever reads it has a process of its own, which does nothing else and is
 * killed when that takes too long.
 */
export interface Source {
  readonly sizeBytes: number
  /** These bytes, all of them. @throws {ConversionRefused} where the file ends before */
  readonly take: (begin: number, length: number) => Buffer
  /** The same, into a buffer, which they fill. */
  readonly fill: (buffer: Uint8Array, begin: number) => void
}

/** Of so few bytes there are often more nearby, such as the headers of an archive of small records. */
const SMALL_BYTES = 256
const WINDOW_BYTES = 16 * 1024

export function sourceOf(fd: number, sizeBytes: number): Source {
  let window = Buffer.alloc(0)
  let windowBegin = 0

  function fill(buffer: Uint8Array, begin: number): void {
    for (let read = 0; read < buffer.length;) {
      const more = readSync(fd, buffer, read, buffer.length - read, begin + read)
      if (more === 0)
        throw new ConversionRefused('damaged', `the file ends at byte ${begin + read}, too early`)
      read += more
    }
  }

  function take(begin: number, length: number): Buffer {
    if (length > sizeBytes - begin)
      throw new ConversionRefused('damaged', `the file ends at byte ${sizeBytes}, too early`)
    if (length <= SMALL_BYTES) return takeSmall(begin, length)
    const bytes = Buffer.allocUnsafe(length)
    fill(bytes, begin)
    return bytes
  }

  function takeSmall(begin: number, length: number): Buffer {
    if (begin < windowBegin || begin + length > windowBegin + window.length) {
      const bytes = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, sizeBytes - begin))
      fill(bytes, begin)
      window = bytes
      windowBegin = begin
    }
    return window.subarray(begin - windowBegin, begin - windowBegin + length)
  }

  return { sizeBytes, take, fill }
}

/** Bytes that are at hand. */
export function sourceOfBytes(bytes: Buffer): Source {
  function take(begin: number, length: number): Buffer {
    if (begin + length > bytes.length)
      throw new ConversionRefused('damaged', `it ends at byte ${bytes.length}, too early`)
    return bytes.subarray(begin, begin + length)
  }
  return {
    sizeBytes: bytes.length,
    take,
    fill: (buffer, begin) => {
      buffer.set(take(begin, buffer.length))
    },
  }
}

/** Some bytes of another. */
export const partOf = (source: Source, begin: number, sizeBytes: number): Source => ({
  sizeBytes,
  take: (at, length) => source.take(begin + at, length),
  fill: (buffer, at) => {
    source.fill(buffer, begin + at)
  },
})
