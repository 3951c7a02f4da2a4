import { open } from 'node:fs/promises'
import { createHeaderWriter } from '../../src/safetensors/header-writer.ts'
import { createDecoder } from '../../src/hashing/small-floats.ts'

export type WeightDtype = 'F64' | 'F32' | 'BF16' | 'F16' | 'F8_E4M3'

const BLOCK_BYTES = 4 * 1024 * 1024
const BLOCKS_A_TENSOR = 8

/** Four megabytes of normally distributed values, of a deviation that each dtype holds well. */
export function weightsOf(dtype: WeightDtype): Uint8Array {
  if (dtype === 'F64') return bytesOf(Float64Array.from({ length: BLOCK_BYTES / 8 }, normal))
  if (dtype === 'F32') return bytesOf(Float32Array.from({ length: BLOCK_BYTES / 4 }, normal))
  const codes = nearestCodes(dtype)
  if (dtype === 'F8_E4M3')
    return Uint8Array.from({ length: BLOCK_BYTES }, () => codes(normal() * 50))
  return bytesOf(Uint16Array.from({ length: BLOCK_BYTES / 2 }, () => codes(normal())))
}

const bytesOf = ({ buffer }: Float64Array | Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(buffer)

/** Of a deviation of 0.02 (Box and Muller). */
const normal = (): number =>
  0.02 * Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random())

/** The code of the largest magnitude that is no larger; positive codes ascend with their values. */
function nearestCodes(dtype: 'BF16' | 'F16' | 'F8_E4M3'): (value: number) => number {
  const valueOf = createDecoder(dtype)
  const negative = dtype === 'F8_E4M3' ? 0x80 : 0x8000
  const values = Float64Array.from({ length: negative }, (_, code) => valueOf(code))
  return (value) => {
    let low = 0
    let high = values.findLastIndex(Number.isFinite)
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((values[middle] ?? 0) <= Math.abs(value)) low = middle
      else high = middle - 1
    }
    return value < 0 ? low | negative : low
  }
}

/** A valid file of about so many bytes: `block` again and again, as tensors of `dtype`; its size. */
export async function makeWeights(
  path: string,
  bytes: number,
  block: Uint8Array,
  dtype: string,
  elementBytes: number,
): Promise<number> {
  const size = block.length * BLOCKS_A_TENSOR
  const count = Math.ceil(bytes / size)
  const header = createHeaderWriter(undefined)
  for (let i = 0; i < count; i++)
    header.add({ name: `layers.${i}.weight`, dtype, shape: [size / elementBytes], size })
  const file = await open(path, 'w')
  const start = header.finish()
  await file.write(start)
  for (let i = 0; i < count * BLOCKS_A_TENSOR; i++) await file.write(block)
  await file.close()
  return start.length + count * size
}
