import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { STATISTICS } from '../../db/ledger.ts'
import { createStatistics } from '../../src/hashing/statistics.ts'
import { createSummingUnit } from '../../src/hashing/summing.ts'
import { DTYPES } from '../../src/safetensors/dtypes.ts'
import { bytesOf } from './fixture.ts'
import { FLOATS } from './naive-statistics.ts'

const PYTHON = process.env['PYTHON'] ?? 'python3'

// Small floats that NumPy lacks are decoded from their standards. add.accumulate adds one element after the other, as
// sum does not.
const SCRIPT = `
import json, sys
import numpy as np

def small(exponent_bits, fraction_bits, bias, kind):
    def value(code):
        fraction = code % 2**fraction_bits
        exponent = code >> fraction_bits & 2**exponent_bits - 1
        sign = -1.0 if code >> 7 else 1.0
        full = exponent == 2**exponent_bits - 1
        if kind == 'ieee' and full: return sign * np.inf if fraction == 0 else np.nan
        if kind == 'full' and full and fraction == 2**fraction_bits - 1: return np.nan
        if kind == 'fnuz' and code == 128: return np.nan
        if exponent == 0: return sign * np.ldexp(fraction, 1 - bias - fraction_bits)
        return sign * np.ldexp(2**fraction_bits + fraction, exponent - bias - fraction_bits)
    return np.array([value(code) for code in range(256)])

SMALL = {
    'F8_E5M2': small(5, 2, 15, 'ieee'), 'F8_E4M3': small(4, 3, 7, 'full'),
    'F8_E5M2FNUZ': small(5, 2, 16, 'fnuz'), 'F8_E4M3FNUZ': small(4, 3, 8, 'fnuz'),
    'F8_E8M0': np.append(np.exp2(np.arange(255.0) - 127), np.nan),
}

def elements(dtype, data):
    if dtype in SMALL: return SMALL[dtype][np.frombuffer(data, 'u1')]
    if dtype == 'BF16': return (np.frombuffer(data, '<u2').astype('<u4') << 16).view('<f4').astype('f8')
    return np.frombuffer(data, {'F64': '<f8', 'F32': '<f4', 'F16': '<f2'}[dtype]).astype('f8')

def one_by_one(numbers):
    return np.add.accumulate(np.append(0.0, numbers))[-1]

def in_lanes(numbers):
    sums = []
    for begin in range(0, len(numbers), 8192):
        block = numbers[begin : begin + 8192]
        block = np.append(block, np.zeros(-len(block) % 4)).reshape(-1, 4)
        a, b, c, d = np.add.accumulate(block, axis=0)[-1]
        sums.append((a + b) + (c + d))
    return one_by_one(sums)

def statistics(dtype, data):
    x = elements(dtype, data)
    finite = x[np.isfinite(x)]
    if dtype in SMALL:
        times = np.bincount(np.frombuffer(data, 'u1'), minlength=256)
        values = np.where(np.isfinite(SMALL[dtype]), SMALL[dtype], 0.0)
        total, squares = one_by_one(times * values), one_by_one(times * (values * values))
    else:
        values = np.where(np.isfinite(x), x, 0.0)
        total, squares = in_lanes(values), in_lanes(values * values)
    counts = [np.isnan(x).sum(), np.isposinf(x).sum(), np.isneginf(x).sum(), (x == 0).sum()]
    numbers = [np.nan] * 5 if len(finite) == 0 else [
        finite.min(), finite.max(), total / len(finite), np.abs(finite).max(), np.sqrt(squares)]
    return [int(n) for n in counts] + [float(n) if np.isfinite(n) else None for n in numbers]

np.seterr(all='ignore')
with open(sys.argv[1], 'rb') as f: data = f.read()
print(json.dumps([statistics(dtype, data[begin:end]) for dtype, begin, end in json.load(sys.stdin)]))
`

const hasNumpy = (): boolean => spawnSync(PYTHON, ['-c', 'import numpy']).status === 0

/** Values around 0, as weights are; of small floats any but those with the largest exponents. */
function moderate(dtype: string, length: number): Uint8Array {
  const random = bytesOf(`moderate ${dtype}`, length)
  const valueAt = (i: number): number => Math.tan(((random[i] ?? 0) - 127.3) / 90) / (i + 1)
  const count = (size: number) => ({ length: length / size })
  if (dtype === 'F64')
    return new Uint8Array(Float64Array.from(count(8), (_, i) => valueAt(i)).buffer)
  if (dtype === 'F32')
    return new Uint8Array(Float32Array.from(count(4), (_, i) => valueAt(i)).buffer)
  return random.map((byte) => byte & 0xbf)
}

t.test('statistics are NumPy’s, to the last bit where it adds in the stated order', async (t) => {
  if (!hasNumpy()) {
    t.comment('NOT COMPARED: python3 has no NumPy here; `pip install numpy` brings it')
    t.pass('the plain reading in statistics.test.ts is compared everywhere')
    return
  }
  const lengths = [0, 8, 24, 8 * 1001, 8 * 8192, 8 * 40_003]
  const tensors = FLOATS.flatMap((dtype) =>
    lengths.flatMap((length) => [
      { dtype, bytes: bytesOf(`any ${dtype}`, length) },
      { dtype, bytes: moderate(dtype, length) },
    ]),
  )
  const file = Buffer.concat(tensors.map(({ bytes }) => bytes))
  let end = 0
  const ends = Float64Array.from(tensors, ({ bytes }) => (end += bytes.length))
  const begins = ends.map((_, i) => ends[i - 1] ?? 0)
  const dtypes = Uint8Array.from(tensors, ({ dtype }) =>
    DTYPES.findIndex(({ name }) => name === dtype),
  )
  const statistics = createStatistics({ begins, ends, dtypes }, createSummingUnit())
  statistics.update(file, 0)

  const path = join(t.testdir(), 'data')
  writeFileSync(path, file)
  const asked = tensors.map(({ dtype }, i) => [dtype, begins[i], ends[i]])
  const input = JSON.stringify(asked)
  const run = spawnSync(PYTHON, ['-c', SCRIPT, path], { input, encoding: 'utf8' })
  t.equal(run.status, 0, run.stderr)
  const rows = JSON.parse(run.stdout) as readonly (readonly (number | null)[])[]
  for (const [i, { dtype, bytes }] of tensors.entries()) {
    const row = Array.from(statistics.column.subarray(i * STATISTICS, (i + 1) * STATISTICS))
    t.strictSame(
      row,
      rows[i]?.map((value) => value ?? NaN),
      `${dtype}, ${bytes.length} bytes`,
    )
  }
  t.equal(rows.length, tensors.length)
})
