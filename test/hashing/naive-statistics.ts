// The definitions of docs/statistics.md once more, in the plainest way: one element after the other, each small float
// looked up in a list that is made by counting up from zero.

export const FLOATS = [
  ...['F64', 'F32', 'BF16', 'F16'],
  ...['F8_E4M3', 'F8_E5M2', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ'],
] as const

interface Counting {
  readonly bytes: 1 | 2
  /** Values from one power of two to the next. */
  readonly perBinade: number
  /** The least that is not 0. */
  readonly least: number
  /** The largest, after which the rest of the codes is not finite. */
  readonly largest: number
  readonly hasInfinity: boolean
  /** NaN in the place of −0. */
  readonly hasOneZero: boolean
}

const counting = (
  bytes: 1 | 2,
  perBinade: number,
  least: number,
  largest: number,
  more: Partial<Counting> = {},
): Counting => ({
  ...{ bytes, perBinade, least, largest },
  ...{ hasInfinity: false, hasOneZero: false },
  ...more,
})

const COUNTING: Readonly<Record<string, Counting>> = {
  F16: counting(2, 1024, 2 ** -24, 65_504, { hasInfinity: true }),
  BF16: counting(2, 128, 2 ** -133, 2 ** 128 - 2 ** 120, { hasInfinity: true }),
  F8_E5M2: counting(1, 4, 2 ** -16, 57_344, { hasInfinity: true }),
  F8_E4M3: counting(1, 8, 2 ** -9, 448),
  F8_E4M3FNUZ: counting(1, 8, 2 ** -10, 240, { hasOneZero: true }),
  F8_E5M2FNUZ: counting(1, 4, 2 ** -17, 57_344, { hasOneZero: true }),
}

/** The value of every code, in order. */
function countUp({
  bytes,
  perBinade,
  least,
  largest,
  hasInfinity,
  hasOneZero,
}: Counting): number[] {
  const half = bytes === 1 ? 128 : 32_768
  const values: number[] = []
  let step = least
  for (let value = 0; value <= largest; value += step) {
    const code = values.push(value) - 1
    // The subnormals and the first binade have the same step.
    if (code % perBinade === 0 && code >= 2 * perBinade) step *= 2
  }
  if (hasInfinity) values.push(Infinity)
  while (values.length < half) values.push(NaN)
  const negative = values.map((value) => -value)
  if (hasOneZero) negative[0] = NaN
  return [...values, ...negative]
}

const E8M0 = Array.from({ length: 256 }, (_, code) => (code === 255 ? NaN : 2 ** (code - 127)))

/** By dtype: the value of each code of 8 or 16 bits. */
export const VALUES: ReadonlyMap<string, readonly number[]> = new Map([
  ...Object.entries(COUNTING).map(([dtype, how]) => [dtype, countUp(how)] as const),
  ['F8_E8M0', E8M0] as const,
])

/** A value, and how many elements have it. */
type Counted = readonly [value: number, times: number]

/** Wide elements one by one; those of 8 bits by their codes, ascending. */
function countedOf(dtype: string, bytes: Uint8Array): readonly Counted[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const each = (size: number, at: (offset: number) => number): Counted[] =>
    Array.from({ length: bytes.length / size }, (_, i) => [at(i * size), 1])
  if (dtype === 'F64') return each(8, (offset) => view.getFloat64(offset, true))
  if (dtype === 'F32') return each(4, (offset) => view.getFloat32(offset, true))
  const values = VALUES.get(dtype) ?? []
  if (!dtype.startsWith('F8')) return each(2, (offset) => values[view.getUint16(offset, true)] ?? 0)
  const times = Array<number>(256).fill(0)
  for (const byte of bytes) times[byte] = (times[byte] ?? 0) + 1
  return values.map((value, code) => [value, times[code] ?? 0] as const).filter(([, n]) => n > 0)
}

/** The nine numbers; NaN for one that there isn't. */
export function naiveStatistics(dtype: string, bytes: Uint8Array): number[] {
  const all = countedOf(dtype, bytes)
  const finite = all.filter(([value]) => Number.isFinite(value))
  const count = (elements: readonly Counted[]): number =>
    elements.reduce((sum, [, n]) => sum + n, 0)
  const sumUp = dtype.startsWith('F8') ? sumByCode : sumInLanes
  const sum = sumUp(all, (x) => x)
  const squares = sumUp(all, (x) => x * x)
  const most = (of: (x: number) => number): number =>
    finite.reduce((a, [b]) => (of(b) > a ? of(b) : a), -Infinity)
  const values = [
    -most((x) => -x),
    most((x) => x),
    finite.length === 0 ? NaN : sum / count(finite),
    most(Math.abs),
    finite.length === 0 ? NaN : Math.sqrt(squares),
  ]
  return [
    count(all.filter(([value]) => Number.isNaN(value))),
    count(all.filter(([value]) => value === Infinity)),
    count(all.filter(([value]) => value === -Infinity)),
    count(all.filter(([value]) => value === 0)),
    ...values.map((value) => (Number.isFinite(value) ? value + 0 : NaN)),
  ]
}

type SumUp = (elements: readonly Counted[], of: (x: number) => number) => number

const sumInLanes: SumUp = (elements, of) => {
  let sum = 0
  for (let block = 0; block < elements.length; block += 8192) {
    const lanes: [number, number, number, number] = [0, 0, 0, 0]
    for (const [i, [value]] of elements.slice(block, block + 8192).entries()) {
      const lane = (i % 4) as 0 | 1 | 2 | 3
      if (Number.isFinite(value)) lanes[lane] += of(value)
    }
    sum += lanes[0] + lanes[1] + (lanes[2] + lanes[3])
  }
  return sum
}

const sumByCode: SumUp = (elements, of) => {
  let sum = 0
  for (const [value, times] of elements) if (Number.isFinite(value)) sum += times * of(value)
  return sum
}
