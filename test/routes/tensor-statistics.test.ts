import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { bytesOf } from '../hashing/fixture.ts'
import { FLOATS, naiveStatistics } from '../hashing/naive-statistics.ts'
import { startServer } from '../helpers/server.ts'
import { jsonOf } from './wire.ts'

type Stats = Readonly<Record<string, number | null>> | null

const tensor = (name: string, dtype: string, length: number, bytes: Uint8Array) => ({
  name,
  dtype,
  shape: [length],
  bytes,
})

const KEYS = ['nan', 'pos_inf', 'neg_inf', 'zeros', 'min', 'max', 'mean', 'abs_max', 'l2']
/** As the API says it: null for a number that there isn't. */
const statsOf = (dtype: string, bytes: Uint8Array): Stats =>
  Object.fromEntries(
    naiveStatistics(dtype, bytes).map((value, i) => [
      KEYS[i] ?? '',
      Number.isNaN(value) ? null : value,
    ]),
  )

const widthOf = (dtype: string): number =>
  dtype.startsWith('F8') ? 1 : Number(/\d+/.exec(dtype)) / 8

/** A file of a tensor of each float dtype, none of them aligned, and of some that have no statistics. */
function fileOf(seed: string) {
  const floats = FLOATS.map((dtype, i) => {
    const length = 100_003 + i
    return tensor(`float.${dtype}`, dtype, length, bytesOf(seed + dtype, length * widthOf(dtype)))
  })
  const others = [
    tensor('complex', 'C64', 3, bytesOf('complex', 24)),
    tensor('integers', 'I32', 1, Buffer.of(0, 0, 0xc0, 0x7f)),
    tensor('nibbles', 'F4', 2, Buffer.of(1)),
    tensor('odd', 'U8', 7, bytesOf(seed, 7)),
    tensor('truths', 'BOOL', 2, Buffer.of(0, 1)),
  ]
  const tensors = [...others, ...floats, tensor('nothing', 'F16', 0, new Uint8Array(0))]
  const expected = new Map<string, Stats>(others.map(({ name }) => [name, null]))
  for (const { name, dtype, bytes } of [...floats, ...tensors.slice(-1)])
    expected.set(name, statsOf(dtype, bytes))
  return { file: writeSafetensors(tensors), expected }
}

for (const workers of ['1', '4'])
  t.test(
    `what was published has statistics, each float tensor and no other: ${workers} workers`,
    async (t) => {
      const { put, request } = await startServer(t, { STRONGROOM_HASH_WORKERS: workers })
      // Several at once, so that one worker has parts of several files in hand.
      const files = ['1', '2', '3', '4'].map((version) => ({ version, ...fileOf(version) }))
      const published = await Promise.all(
        files.map(({ version, file }) => put(`acme/a/${version}`, file)),
      )
      t.same(
        published.map(({ status }) => status),
        [201, 201, 201, 201],
      )
      for (const { version, expected } of files) {
        const { items } = await jsonOf(await request(`/v1/checkpoints/acme/a/${version}/tensors`))
        const found = (items as { name: string; stats: Stats }[]).map(
          ({ name, stats }) => [name, stats] as const,
        )
        t.strictSame(new Map(found), expected)
      }
    },
  )

t.test('statistics are numbers and null, in JSON that anybody reads', async (t) => {
  const { put, request } = await startServer(t)
  const values = Float32Array.of(1, -2, -0, NaN, Infinity)
  const infinite = Uint16Array.of(0xfc00, 0x7fff)
  await put(
    'acme/a/1',
    writeSafetensors([
      tensor('a', 'F32', 5, new Uint8Array(values.buffer)),
      tensor('b', 'BF16', 2, Buffer.from('80ffc0ff', 'hex')),
      tensor('c', 'F16', 2, new Uint8Array(infinite.buffer)),
    ]),
  )
  const { items } = await jsonOf(await request('/v1/checkpoints/acme/a/1/tensors'))
  const none = { min: null, max: null, mean: null, abs_max: null, l2: null }
  t.match(items, [
    {
      stats: {
        ...{ nan: 1, pos_inf: 1, neg_inf: 0, zeros: 1 },
        ...{ min: -2, max: 1, mean: -1 / 3, abs_max: 2, l2: Math.sqrt(5) },
      },
    },
    { stats: { nan: 1, pos_inf: 0, neg_inf: 1, zeros: 0, ...none } },
    { stats: { nan: 1, pos_inf: 0, neg_inf: 1, zeros: 0, ...none } },
  ])
})
