import t from 'tap'
import { comparableBytes, compareValues } from '../../src/hashing/compare-values.ts'
import { createDecoder } from '../../src/hashing/small-floats.ts'

const bytesOf = (array: Float64Array | Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
const f64 = (values: readonly number[]): Uint8Array => bytesOf(Float64Array.from(values))

t.test('every code of every small dtype is compared by its value', async (t) => {
  for (const [dtype, codes] of [
    ['F8_E5M2', 0x100],
    ['F8_E4M3', 0x100],
    ['F8_E8M0', 0x100],
    ['F8_E4M3FNUZ', 0x100],
    ['F8_E5M2FNUZ', 0x100],
    ['F16', 0x10000],
    ['BF16', 0x10000],
  ] as const) {
    const valueOf = createDecoder(dtype)
    const all = Array.from({ length: codes }, (_, code) => code)
    const small = codes === 0x100 ? Uint8Array.from(all) : bytesOf(Uint16Array.from(all))
    t.equal(comparableBytes(dtype), small.length / codes)
    const values = all.map(valueOf)
    const same = compareValues(small, dtype, f64(values), 'F64')
    t.match(same, { squaredChange: 0, largest: 0, isFinite: true }, dtype)
    const finite = values.filter((x) => Number.isFinite(x))
    t.equal(
      same.squaredNorm,
      finite.reduce((sum, x) => sum + x * x, 0),
    )
    const shifted = f64(values.map((x, code) => (code === 3 ? x + 1 : x)))
    const third = valueOf(3)
    t.equal(compareValues(shifted, 'F64', small, dtype).largest, third + 1 - third)
  }
})

t.test('integers, complex numbers and packed floats have no values to compare', async (t) => {
  for (const dtype of ['U8', 'I64', 'BOOL', 'C64', 'F4', 'F6_E2M3', 'F6_E3M2', 'none'])
    t.equal(comparableBytes(dtype), undefined, dtype)
})

t.test(
  'what is not finite is no change while it stays, and undoes the rest when it moves',
  async (t) => {
    const [nan, inf] = [NaN, Infinity]
    for (const [before, after, isFinite] of [
      [[nan, inf, -inf], [nan, inf, -inf], true],
      [[nan], [0], false],
      [[0], [nan], false],
      [[inf], [-inf], false],
      [[inf], [nan], false],
      [[1e308], [-1e308], false],
    ] as const) {
      const change = compareValues(f64(before), 'F64', f64(after), 'F64')
      t.equal(change.isFinite, isFinite, `${before.join()} ${after.join()}`)
      t.equal(change.squaredChange, 0)
    }
  },
)
