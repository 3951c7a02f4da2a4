import type { Detector, DetectorTensor } from './detector.ts'

// The little-endian bytes of a tensor as numbers, copied so that they are aligned. Every machine that the engine has
// a binary for is little-endian, as the typed arrays here then are.

/** A tensor that the settings call for: the loader has seen to it that it is there. */
export function tensorOf(detector: Detector, name: string): DetectorTensor {
  const tensor = detector.tensors.get(name)
  if (tensor === undefined) throw new Error(`The detector has no tensor ${name}.`)
  return tensor
}

export function uint32sOf(detector: Detector, name: string): Uint32Array {
  return new Uint32Array(Uint8Array.from(tensorOf(detector, name).bytes).buffer)
}

export function float32sOf(detector: Detector, name: string): Float32Array {
  return new Float32Array(Uint8Array.from(tensorOf(detector, name).bytes).buffer)
}
