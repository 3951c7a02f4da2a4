import { decodeFrame } from './lz4.ts'
import { XetError } from './xet-error.ts'

/** The longest chunk there is: twice the 64 KiB that a client aims at. */
export const LARGEST_CHUNK_BYTES = 128 * 1024

/** How a chunk's data lies in a xorb: as it is, as an LZ4 frame, or as one of its bytes grouped by four. */
export type ChunkScheme = 'raw' | 'lz4' | 'grouped_lz4'

/**
 * A chunk as it was in the file: exactly `rawBytes` long. One that lies there raw is `data` itself, not a copy.
 *
 * @param data as it lies in the xorb, without its header
 * @throws XetError
 */
export function decodeChunk(data: Uint8Array, scheme: ChunkScheme, rawBytes: number): Uint8Array {
  if (scheme === 'raw') {
    checkLength(data.length, rawBytes)
    return data
  }
  const chunk = new Uint8Array(rawBytes)
  checkLength(decodeFrame(data, chunk), rawBytes)
  return scheme === 'lz4' ? chunk : ungroup(chunk)
}

function checkLength(actual: number, expected: number): void {
  if (actual === expected) return
  const sentence = `a chunk holds ${actual} bytes where its header says ${expected}`
  throw new XetError('chunk_size_mismatch', sentence)
}

/**
 * Puts back together what was grouped by its place modulo four, which brings together the exponents of floats.
 * The groups follow each other; where the length is no multiple of four, the first ones are a byte longer.
 */
function ungroup(grouped: Uint8Array): Uint8Array {
  const chunk = new Uint8Array(grouped.length)
  let read = 0
  for (let lane = 0; lane < 4; lane += 1)
    for (let at = lane; at < chunk.length; at += 4) {
      chunk[at] = grouped[read] ?? 0
      read += 1
    }
  return chunk
}
