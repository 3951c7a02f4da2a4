// The ways in which a detector file stores a matrix: docs/detector-format.md.

export interface NewTensor {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

export type MatrixStorage = 'f32' | 'f16' | 'bf16' | 'int8' | '4bit'

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)

export const f32 = (name: string, shape: readonly number[], values: Float32Array): NewTensor => ({
  name,
  dtype: 'F32',
  shape,
  bytes: bytesOf(values),
})
export const u32 = (name: string, values: readonly number[]): NewTensor => ({
  name,
  dtype: 'U32',
  shape: [values.length],
  bytes: bytesOf(Uint32Array.from(values)),
})
export const i32 = (name: string, values: readonly number[]): NewTensor => ({
  name,
  dtype: 'I32',
  shape: [values.length],
  bytes: bytesOf(Int32Array.from(values)),
})
export const u8 = (name: string, bytes: Uint8Array): NewTensor => ({
  name,
  dtype: 'U8',
  shape: [bytes.length],
  bytes,
})

/** The tensors that store a matrix, row by row in `values`, in the given way; rounds where it must. */
export function matrix(
  name: string,
  rows: number,
  columns: number,
  values: Float32Array,
  storage: MatrixStorage,
): NewTensor[] {
  switch (storage) {
    case 'f32':
      return [f32(name, [rows, columns], values)]
    case 'f16':
      return [
        { name, dtype: 'F16', shape: [rows, columns], bytes: bytesOf(Float16Array.from(values)) },
      ]
    case 'bf16': {
      const high = Uint16Array.from(new Uint32Array(values.slice().buffer), (word) => word >>> 16)
      return [{ name, dtype: 'BF16', shape: [rows, columns], bytes: bytesOf(high) }]
    }
    case 'int8':
      return int8Rows(name, rows, columns, values)
    case '4bit':
      return blocksOf4Bits(name, rows, columns, values)
  }
}

function largest(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
}

function int8Rows(name: string, rows: number, columns: number, values: Float32Array): NewTensor[] {
  const quantised = new Int8Array(rows * columns)
  const scales = new Float32Array(rows)
  for (let row = 0; row < rows; row += 1) {
    const of = values.subarray(row * columns, (row + 1) * columns)
    const scale = Math.fround(largest(of) / 127) || 1
    scales[row] = scale
    of.forEach((value, column) => {
      quantised[row * columns + column] = Math.round(value / scale)
    })
  }
  return [
    { name, dtype: 'I8', shape: [rows, columns], bytes: bytesOf(quantised) },
    f32(`${name}.scale`, [rows], scales),
  ]
}

function blocksOf4Bits(
  name: string,
  rows: number,
  columns: number,
  values: Float32Array,
): NewTensor[] {
  const blocks = (rows * columns) / 32
  const packed = new Uint8Array(blocks * 16)
  const scales = new Float16Array(blocks)
  for (let block = 0; block < blocks; block += 1) {
    const of = values.subarray(block * 32, block * 32 + 32)
    scales[block] = largest(of) / 7 || 1
    const scale = scales[block] ?? 1
    const nibble = (value = 0): number => Math.min(15, Math.max(0, Math.round(value / scale) + 8))
    for (let j = 0; j < 16; j += 1)
      packed[block * 16 + j] = nibble(of[j]) | (nibble(of[j + 16]) << 4)
  }
  return [
    { name, dtype: 'U8', shape: [rows, columns / 2], bytes: packed },
    { name: `${name}.scale`, dtype: 'F16', shape: [rows, columns / 32], bytes: bytesOf(scales) },
  ]
}
