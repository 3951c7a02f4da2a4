import fc from 'fast-check'
import t from 'tap'
import { STATISTICS } from '../../db/ledger.ts'
import { createStatistics, type Statistics } from '../../src/hashing/statistics.ts'
import { createSummingUnit } from '../../src/hashing/summing.ts'
import { DTYPES } from '../../src/safetensors/dtypes.ts'
import { bytesOf } from './fixture.ts'
import { FLOATS, naiveStatistics, VALUES } from './naive-statistics.ts'

const unit = createSummingUnit()
const bytesEach = (dtype: string): number =>
  (DTYPES.find(({ name }) => name === dtype)?.bits ?? 0) / 8

interface Tensor {
  readonly dtype: string
  readonly bytes: Uint8Array
}

/** A file of tensors, in the header's order, lying in another; and the statistics that begin with it. */
function fileOf(
  tensors: readonly Tensor[],
  order: readonly number[] = [],
  headerBytes = 8,
): { readonly file: Uint8Array; readonly statistics: Statistics } {
  const begins = new Float64Array(tensors.length)
  const ends = new Float64Array(tensors.length)
  const lying = [...tensors.keys()].sort((a, b) => (order[a] ?? a) - (order[b] ?? b))
  const parts: Uint8Array[] = [bytesOf('header', headerBytes)]
  let end = headerBytes
  for (const i of lying) {
    const bytes = tensors[i]?.bytes ?? new Uint8Array(0)
    parts.push(bytes)
    begins[i] = end
    ends[i] = end += bytes.length
  }
  const dtypes = Uint8Array.from(tensors, ({ dtype }) =>
    DTYPES.findIndex(({ name }) => name === dtype),
  )
  return {
    file: Buffer.concat(parts),
    statistics: createStatistics({ begins, ends, dtypes }, unit),
  }
}

function* chunksOf(file: Uint8Array, sizes: readonly number[]): Generator<[Uint8Array, number]> {
  for (let at = 0, turn = 0; at < file.length; turn++) {
    const chunk = file.subarray(at, at + (sizes[turn % sizes.length] ?? 1))
    yield [chunk, at]
    at += chunk.length
  }
}

const rowOf = (column: Float64Array, i: number): number[] =>
  Array.from(column.subarray(i * STATISTICS, (i + 1) * STATISTICS))

/** Of one tensor of so many bytes before it. */
function measure(dtype: string, bytes: Uint8Array, headerBytes = 8, chunk = 2 ** 20): number[] {
  const { file, statistics } = fileOf([{ dtype, bytes }], [], headerBytes)
  for (const [part, at] of chunksOf(file, [chunk])) statistics.update(part, at)
  statistics.end()
  return rowOf(statistics.column, 0)
}

const bytesFrom = (array: Float64Array | Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(array.buffer)

type Kind = 'any' | 'moderate' | 'sparse'

/** Any bytes at all; or those of moderate values, where the dtype is wide; or half of them zeros. */
function fill(dtype: string, elements: number, kind: Kind, seed: number): Uint8Array {
  const size = bytesEach(dtype)
  const bytes = bytesOf(String(seed), elements * size)
  if (kind === 'any') return bytes
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  for (let i = 0; i < elements; i++) {
    const value = (view.getUint8(i * size) - 128) * 0.017
    if (dtype === 'F64') view.setFloat64(i * size, value, true)
    if (dtype === 'F32') view.setFloat32(i * size, value, true)
    if (kind === 'sparse' && value < 0) bytes.fill(0, i * size, (i + 1) * size)
  }
  return bytes
}

t.test('each float tensor gets what the plainest reading of the definitions gives', async (t) => {
  const tensor = fc.record({
    dtype: fc.constantFrom(...FLOATS, ...FLOATS, 'I32', 'U8', 'BOOL', 'C64', 'F4'),
    elements: fc.oneof(fc.nat(3), fc.nat(200), fc.constantFrom(8191, 8192, 8193, 20_000)),
    kind: fc.constantFrom<Kind[]>('any', 'moderate', 'sparse'),
    seed: fc.nat(),
  })
  const cases = fc.record({
    specs: fc.array(tensor, { minLength: 1, maxLength: 6 }),
    order: fc.array(fc.nat(), { minLength: 6, maxLength: 6 }),
    headerBytes: fc.integer({ min: 8, max: 40 }),
    chunks: fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1, maxLength: 5 }),
  })
  fc.assert(
    fc.property(cases, ({ specs, order, headerBytes, chunks }) => {
      const tensors = specs.map(({ dtype, elements, kind, seed }) => ({
        dtype,
        bytes: dtype === 'F4' ? bytesOf('F4', elements) : fill(dtype, elements, kind, seed),
      }))
      const { file, statistics } = fileOf(tensors, order, headerBytes)
      for (const [part, at] of chunksOf(file, chunks)) statistics.update(part, at)
      statistics.end()
      for (const [i, { dtype, bytes }] of tensors.entries()) {
        const isFloat = FLOATS.some((name) => name === dtype)
        const expected = isFloat ? naiveStatistics(dtype, bytes) : Array<number>(9).fill(NaN)
        t.strictSame(rowOf(statistics.column, i), expected, dtype)
      }
    }),
    { numRuns: 120 },
  )
})

t.test('every code of 8 and 16 bits counts as the value that its format gives it', async (t) => {
  t.equal(VALUES.get('F16')?.length, 65_536)
  t.equal(VALUES.get('F8_E4M3')?.length, 256)
  for (const [dtype, values] of VALUES) {
    // Four elements are added by a vector, one by itself.
    const tensors = [...values.keys()].flatMap((code) =>
      [4, 1].map((times) => ({
        dtype,
        bytes:
          values.length === 256
            ? Buffer.alloc(times, code)
            : bytesFrom(new Uint16Array(times).fill(code)),
      })),
    )
    const { file, statistics } = fileOf(tensors)
    for (const [part, at] of chunksOf(file, [1000])) statistics.update(part, at)
    statistics.end()
    const wrong = tensors.filter(
      ({ bytes }, i) =>
        String(rowOf(statistics.column, i)) !== String(naiveStatistics(dtype, bytes)),
    )
    t.same(wrong, [], dtype)
  }
})

t.test('the values of small floats are those that their standards name', async (t) => {
  const table = [
    ['F16', 0x7bff, 65_504],
    ['F16', 0x0001, 2 ** -24],
    ['F16', 0xfc00, -Infinity],
    ['BF16', 0x3f80, 1],
    ['BF16', 0x0001, 2 ** -133],
    ['F8_E5M2', 0x7b, 57_344],
    ['F8_E5M2', 0x7c, Infinity],
    ['F8_E4M3', 0x7e, 448],
    ['F8_E4M3', 0xff, NaN],
    ['F8_E4M3FNUZ', 0x7f, 240],
    ['F8_E4M3FNUZ', 0x80, NaN],
    ['F8_E5M2FNUZ', 0xff, -57_344],
    ['F8_E8M0', 0x00, 2 ** -127],
    ['F8_E8M0', 0xff, NaN],
  ] as const
  for (const [dtype, code, value] of table) t.same(VALUES.get(dtype)?.[code], value, dtype)
})

const [NAN, MIN, MAX, MEAN, ABS_MAX, L2] = [0, 4, 5, 6, 7, 8]

t.test('what is not finite is counted by its kind and is in no sum', async (t) => {
  const { buffer } = Uint32Array.of(0x7f800001, 0xffffffff, 0x7fc00000, 0xff800001)
  const nans = Array.from(new Uint8Array(buffer))
  for (const count of [3, 40_000]) {
    const finite = Float32Array.from({ length: count }, (_, i) => i - 1)
    const specials = Float32Array.of(Infinity, -Infinity, -Infinity, -0)
    const bytes = Buffer.concat([bytesFrom(finite), Buffer.from(nans), bytesFrom(specials)])
    const row = measure('F32', bytes)
    t.same(row.slice(0, 4), [4, 1, 2, 2])
    t.same([row[MIN], row[MAX], row[ABS_MAX]], [-1, count - 2, count - 2])
    t.equal(row[MEAN], (count * (count - 3)) / 2 / (count + 1))
  }
})

t.test('without a finite element there are counts and nothing else', async (t) => {
  const none = [NaN, NaN, NaN, NaN, NaN]
  for (const dtype of FLOATS)
    t.same(measure(dtype, new Uint8Array(0)), [0, 0, 0, 0, ...none], dtype)
  t.same(measure('F64', bytesFrom(Float64Array.of(NaN, Infinity))), [1, 1, 0, 0, ...none])
  t.same(measure('F16', bytesFrom(new Uint16Array(9).fill(0xfc00))), [0, 0, 9, 0, ...none])
})

t.test('what float64 cannot hold is not there, and the rest is', async (t) => {
  const large = measure('F64', bytesFrom(new Float64Array(10_000).fill(1e308)))
  t.same([large[MEAN], large[L2]], [NaN, NaN])
  t.same([large[MIN], large[MAX], large[ABS_MAX], large[NAN]], [1e308, 1e308, 1e308, 0])
  const squares = measure('F64', bytesFrom(Float64Array.of(1e200, 3e200)))
  t.same([squares[MEAN], squares[L2]], [2e200, NaN])
  const opposed = measure('F64', bytesFrom(Float64Array.of(1.7e308, -1.7e308, 1.7e308, -1.7e308)))
  t.same([opposed[MIN], opposed[MAX], opposed[L2]], [-1.7e308, 1.7e308, NaN])
})

t.test('subnormals count, and both zeros are zero', async (t) => {
  const row = measure('F32', bytesFrom(Float32Array.of(2 ** -149, -(2 ** -149), -0, 0, -0)))
  t.same(row.slice(0, 4), [0, 0, 0, 3])
  t.same([row[MIN], row[MAX], row[MEAN]], [-(2 ** -149), 2 ** -149, 0])
  t.equal(row[L2], Math.SQRT2 * 2 ** -149)
  for (const zeros of [[-0], [0, -0], [-0, 0], [-0, -0, -0, -0, -0]]) {
    const all = measure('F64', bytesFrom(Float64Array.from(zeros)))
    t.strictSame(all, [0, 0, 0, zeros.length, 0, 0, 0, 0, 0])
    t.ok(all.every((value) => Object.is(value, Math.abs(value))))
  }
})

t.test(
  'a tensor has the same statistics wherever it lies and however the file is cut',
  async (t) => {
    for (const dtype of FLOATS) {
      const bytes = fill(dtype, 30_001, 'any', 7)
      const expected = measure(dtype, bytes)
      for (const [headerBytes, chunk] of [
        [9, 4096],
        [11, 65_536],
        [8, 77],
        [15, 100_003],
      ] as const)
        t.strictSame(measure(dtype, bytes, headerBytes, chunk), expected, dtype)
    }
  },
)

t.test('large tensors of 8 bits are counted in pairs, with the same result', async (t) => {
  for (const elements of [256 * 1024 - 1, 256 * 1024 + 1, 17_000_003]) {
    const bytes = bytesOf('pairs', elements)
    t.strictSame(measure('F8_E4M3', bytes), naiveStatistics('F8_E4M3', bytes))
  }
})

t.test('files that are measured in turns do not touch each other', async (t) => {
  const all = FLOATS.map((dtype, i) => {
    const bytes = fill(dtype, 300_000, 'any', i)
    return { dtype, bytes, ...fileOf([{ dtype, bytes }], [], 8 + i) }
  })
  const turns = all.map(({ file, statistics }, i) => ({
    statistics,
    chunks: chunksOf(file, [50_000 + i * 1111]),
  }))
  const given = fileOf([{ dtype: 'F8_E5M2', bytes: bytesOf('given up', 600_000) }])
  given.statistics.update(given.file.subarray(0, 300_001), 0)
  for (let left = turns; left.length > 0;) {
    left = left.filter(({ statistics, chunks }) => {
      const next = chunks.next()
      if (next.done !== true) statistics.update(...next.value)
      return next.done !== true
    })
    given.statistics.end()
  }
  for (const { dtype, bytes, statistics } of all) {
    statistics.end()
    t.strictSame(rowOf(statistics.column, 0), naiveStatistics(dtype, bytes), dtype)
  }
})
