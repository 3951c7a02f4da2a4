import { aligned } from '../open/check-finite.ts'
import { refuseAt } from '../open/members.ts'
import type { StoredTensor } from './tensor-file.ts'

export type FloatDtype = 'F64' | 'F32' | 'F16' | 'BF16'

export const FLOAT_BYTES: Readonly<Record<FloatDtype, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 }

/** Longer than any SAE is wide. */
const MAX_LENGTH = 2 ** 20

/** The dtype of a tensor of floats. @throws {DetectorRefused} */
export function floatDtypeOf({ name, dtype }: StoredTensor): FloatDtype {
  return dtype === 'F64' || dtype === 'F32' || dtype === 'F16' || dtype === 'BF16'
    ? dtype
    : refuseAt(`tensor ${name}`, `is ${dtype}, and no weights are read from that`)
}

/** Little-endian bytes as numbers. */
export function floatsOf(dtype: FloatDtype, bytes: Uint8Array): Float32Array | Float64Array {
  switch (dtype) {
    case 'F64':
      return aligned(Float64Array, bytes)
    case 'F32':
      return aligned(Float32Array, bytes)
    case 'F16':
      return Float32Array.from(aligned(Float16Array, bytes))
    case 'BF16': {
      // The upper half of an F32.
      const halves = aligned(Uint16Array, bytes)
      const words = new Uint32Array(halves.length)
      for (let i = 0; i < halves.length; i += 1) words[i] = (halves[i] ?? 0) << 16
      return new Float32Array(words.buffer)
    }
  }
}

/** All values of a short tensor. @throws {DetectorRefused} unless it has that shape, and finite values */
export async function vectorOf(
  tensor: StoredTensor,
  shape: readonly number[],
): Promise<Float64Array> {
  const where = `tensor ${tensor.name}`
  const dtype = floatDtypeOf(tensor)
  if (tensor.shape.length !== shape.length || shape.some((dim, i) => tensor.shape[i] !== dim))
    refuseAt(where, `has the shape [${tensor.shape.join(', ')}], not [${shape.join(', ')}]`)
  if (shape.reduce((a, b) => a * b, 1) > MAX_LENGTH)
    refuseAt(where, `has more than ${MAX_LENGTH} elements`)
  const parts: Uint8Array[] = []
  for await (const piece of tensor.read()) parts.push(piece)
  const values = Float64Array.from(floatsOf(dtype, Buffer.concat(parts)))
  const at = values.findIndex((value) => !Number.isFinite(value))
  return at === -1 ? values : refuseAt(where, `is not finite at element ${at}`)
}
