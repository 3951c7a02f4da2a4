import { BYTE_FLOATS, createDecoder } from './small-floats.ts'

/** How far the values of two runs of elements are apart; sums over runs add up to sums over tensors. */
export interface ValueChange {
  /** Of (to − from)². */
  readonly squaredChange: number
  /** Of from², where that is finite. */
  readonly squaredNorm: number
  readonly largest: number
  /** False where a value became NaN or infinite, ceased to be, or moved beyond float64. */
  readonly isFinite: boolean
}

type Elements = Float64Array | Float32Array | Uint16Array | Uint8Array

interface Format {
  readonly elementBytes: 1 | 2 | 4 | 8
  readonly elementsOf: (bytes: Uint8Array) => Elements
  /** Values by code; absent where elements are values. */
  readonly values: (() => Float64Array) | undefined
}

/** Values of all codes, made when they are first asked for. */
function tableOf(codes: number, dtype: Parameters<typeof createDecoder>[0]): () => Float64Array {
  const valueOf = createDecoder(dtype)
  let table: Float64Array | undefined
  return () => (table ??= Float64Array.from({ length: codes }, (_, code) => valueOf(code)))
}

const countIn = (bytes: Uint8Array, elementBytes: number): [ArrayBufferLike, number, number] => [
  bytes.buffer,
  bytes.byteOffset,
  bytes.length / elementBytes,
]
const codes16 = (bytes: Uint8Array): Uint16Array => new Uint16Array(...countIn(bytes, 2))

const FORMATS: ReadonlyMap<string, Format> = new Map<string, Format>([
  [
    'F64',
    {
      elementBytes: 8,
      elementsOf: (bytes) => new Float64Array(...countIn(bytes, 8)),
      values: undefined,
    },
  ],
  [
    'F32',
    {
      elementBytes: 4,
      elementsOf: (bytes) => new Float32Array(...countIn(bytes, 4)),
      values: undefined,
    },
  ],
  ['F16', { elementBytes: 2, elementsOf: codes16, values: tableOf(0x10000, 'F16') }],
  ['BF16', { elementBytes: 2, elementsOf: codes16, values: tableOf(0x10000, 'BF16') }],
  ...BYTE_FLOATS.map((dtype): [string, Format] => [
    dtype,
    { elementBytes: 1, elementsOf: (bytes) => bytes, values: tableOf(0x100, dtype) },
  ]),
])

/** Bytes of an element of a dtype whose values can be compared; undefined for any other. */
export const comparableBytes = (dtype: string): number | undefined =>
  FORMATS.get(dtype)?.elementBytes

/** Elements that are made values at a time. */
const BLOCK_ELEMENTS = 4096

/** Writes the values of a run of elements into `values`. */
function createValuesOf(
  bytes: Uint8Array,
  dtype: string,
): (from: number, to: number) => Float64Array {
  const format = FORMATS.get(dtype)
  if (format === undefined) throw new Error(`${dtype} has no values to compare`)
  const elements = format.elementsOf(bytes)
  const table = format.values?.()
  const values = new Float64Array(BLOCK_ELEMENTS)
  return (from, to) => {
    if (table === undefined) values.set(elements.subarray(from, to))
    else for (let i = from; i < to; i++) values[i - from] = table[elements[i] ?? 0] ?? NaN
    return values
  }
}

/**
 * Compares elements one by one as float64, sums taken in their order. NaN that stays NaN and an infinity that stays the
 * same are no change, and count for nothing in the norm. The runs begin at a multiple of their element's size.
 */
export function compareValues(
  from: Uint8Array,
  fromDtype: string,
  to: Uint8Array,
  toDtype: string,
): ValueChange {
  const before = createValuesOf(from, fromDtype)
  const after = createValuesOf(to, toDtype)
  const count = from.length / (comparableBytes(fromDtype) ?? 1)
  let squaredChange = 0
  let squaredNorm = 0
  let largest = 0
  let isFinite = true
  for (let at = 0; at < count; at += BLOCK_ELEMENTS) {
    const end = Math.min(count, at + BLOCK_ELEMENTS)
    const a = before(at, end)
    const b = after(at, end)
    for (let i = 0; i < end - at; i++) {
      const x = a[i] ?? 0
      const y = b[i] ?? 0
      if (Number.isFinite(x)) squaredNorm += x * x
      if (x === y || (x !== x && y !== y)) continue
      const change = Math.abs(y - x)
      if (!Number.isFinite(change)) isFinite = false
      else {
        squaredChange += change * change
        if (change > largest) largest = change
      }
    }
  }
  return { squaredChange, squaredNorm, largest, isFinite }
}
