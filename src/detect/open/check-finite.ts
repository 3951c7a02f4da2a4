import type { DetectorTensor } from '../detector.ts'
import { refuseTensor } from './tensor-taker.ts'

/** Exponent bits of each float dtype: all of them set is NaN or an infinity. */
const EXPONENTS = { F32: 0x7f80_0000, F16: 0x7c00, BF16: 0x7f80 } as const
/** A scale times the largest 8-bit integer must be finite still. */
const MAX_SCALE = 2 ** 120

/** Checks that no float of any tensor is NaN or infinite. @throws DetectorRefused naming tensor and element */
export function checkFinite(tensors: ReadonlyMap<string, DetectorTensor>): void {
  for (const [name, { dtype, bytes }] of tensors) {
    if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16') continue
    const words = dtype === 'F32' ? aligned(Uint32Array, bytes) : aligned(Uint16Array, bytes)
    const at = indexOfAllSet(words, EXPONENTS[dtype])
    if (at !== -1) refuseTensor(name, `is not finite at element ${at}`)
    if (dtype === 'F32' && name.endsWith('.weight.scale')) checkScales(name, bytes)
  }
}

function indexOfAllSet(words: Uint32Array | Uint16Array, mask: number): number {
  // `words.findIndex` takes ten times as long.
  for (let i = 0; i < words.length; i += 1) if (((words[i] ?? 0) & mask) === mask) return i
  return -1
}

function checkScales(name: string, bytes: Uint8Array): void {
  const at = aligned(Float32Array, bytes).findIndex((scale) => Math.abs(scale) > MAX_SCALE)
  if (at !== -1) refuseTensor(name, `makes a matrix that is not finite, at row ${at}`)
}

interface WordArray<T> {
  readonly BYTES_PER_ELEMENT: number
  new (buffer: ArrayBufferLike, begin: number, length: number): T
}

/** A view of little-endian bytes as numbers; of a copy of them, where they lie at an odd place. */
export function aligned<T>(Words: WordArray<T>, bytes: Uint8Array): T {
  const size = Words.BYTES_PER_ELEMENT
  const { buffer, byteOffset, byteLength } =
    bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)
  return new Words(buffer, byteOffset, byteLength / size)
}
