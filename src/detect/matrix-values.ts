import type { Detector, DetectorTensor } from './detector.ts'
import { aligned } from './open/check-finite.ts'
import { float32sOf, tensorOf } from './tensor-values.ts'

/** A matrix of the file in f32, row by row, whichever way it is stored, but for 4 bits: a copy unless it is f32. */
export function matrixOf(detector: Detector, name: string): Float32Array {
  const tensor = tensorOf(detector, name)
  const { dtype, bytes } = tensor
  switch (dtype) {
    case 'F32':
      return aligned(Float32Array, bytes)
    case 'F16':
      return new Float32Array(aligned(Float16Array, bytes))
    case 'BF16':
      return fromBfloat16(aligned(Uint16Array, bytes))
    case 'I8':
      return fromInt8(tensor, float32sOf(detector, `${name}.scale`))
    default:
      throw new Error(`${name} is not a matrix of floats or 8-bit integers.`)
  }
}

/** A bfloat16 is the upper half of a float32. */
function fromBfloat16(halves: Uint16Array): Float32Array {
  const words = new Uint32Array(halves.length)
  for (let i = 0; i < halves.length; i += 1) words[i] = (halves[i] ?? 0) << 16
  return new Float32Array(words.buffer)
}

function fromInt8({ bytes, shape }: DetectorTensor, scales: Float32Array): Float32Array {
  const columns = shape[1] ?? 0
  const quantised = aligned(Int8Array, bytes)
  const values = new Float32Array(quantised.length)
  for (const [row, scale] of scales.entries())
    for (let i = row * columns; i < (row + 1) * columns; i += 1)
      values[i] = (quantised[i] ?? 0) * scale
  return values
}
