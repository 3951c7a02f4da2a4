import type { ChunkScheme } from './chunk.ts'
import { XetError } from './xet-error.ts'

/** Bytes before each chunk's data. */
export const CHUNK_HEADER_BYTES = 8

/** Where the chunks of a xorb lie: 9 bytes a chunk, and none of their data. */
export interface XorbIndex {
  readonly chunkCount: number
  /** What all chunks take unpacked. */
  readonly rawBytes: number
  /** Where each chunk's header begins in the body, and, one more, where the last chunk ends. */
  readonly starts: Uint32Array
  /** Where each chunk begins among the unpacked bytes, and, one more, where the last one ends. */
  readonly rawStarts: Uint32Array
  readonly schemes: Uint8Array
}

export interface XorbChunk {
  readonly scheme: ChunkScheme
  /** Where its data begins in the body. */
  readonly begin: number
  /** Where its data ends. */
  readonly end: number
  readonly rawBytes: number
}

/** In the order of their numbers on the wire. */
export const SCHEMES: readonly ChunkScheme[] = ['raw', 'lz4', 'grouped_lz4']

/** @throws XetError where the xorb has no such chunk */
export function chunkAt(index: XorbIndex, chunk: number): XorbChunk {
  const scheme = SCHEMES[index.schemes[chunk] ?? -1]
  if (scheme === undefined) throw outside(index, chunk, chunk + 1)
  return {
    scheme,
    begin: (index.starts[chunk] ?? 0) + CHUNK_HEADER_BYTES,
    end: index.starts[chunk + 1] ?? 0,
    rawBytes: rawBytesOf(index, chunk, chunk + 1),
  }
}

/** What chunks `begin` up to `end` take unpacked. @throws XetError where the xorb doesn't have them */
export function rawBytesOf(index: XorbIndex, begin: number, end: number): number {
  const [from, to] = [index.rawStarts[begin], index.rawStarts[end]]
  if (from === undefined || to === undefined || begin >= end) throw outside(index, begin, end)
  return to - from
}

function outside(index: XorbIndex, begin: number, end: number): XetError {
  const sentence = `the xorb has ${index.chunkCount} chunks, and so none from ${begin} up to ${end}`
  return new XetError('chunk_range_invalid', sentence)
}
