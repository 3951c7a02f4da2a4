import fc from 'fast-check'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { DTYPES } from '../../src/safetensors/dtypes.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { call, dice, head, MIB } from '../attacks/hostile.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { askNumpy, hasNumpy, type Question } from './numpy.ts'

// 16 slots: a slice over more leaves than that must give them back as it goes.
const server = await startServer(t, { STRONGROOM_CACHE_BYTES: '16MiB' })
const { put, request } = server

function random(length: number, seed: number): Uint8Array<ArrayBuffer> {
  const roll = dice(seed)
  return Uint8Array.from({ length }, () => roll() * 256)
}

const urlOf = (ref: string, name: string, slice?: string): string => {
  const query = new URLSearchParams({ name, ...(slice === undefined ? {} : { slice }) })
  return `/v1/checkpoints/${ref}/tensor?${query.toString()}`
}

async function read(url: string, range?: string) {
  const headers: Record<string, string> = range === undefined ? {} : { range }
  const response = await request(url, { token: ADMIN, headers })
  const bytes = Buffer.from(await response.arrayBuffer())
  const shape: unknown = JSON.parse(response.headers.get('x-tensor-shape') ?? 'null')
  return { status: response.status, bytes, shape }
}

const bound = fc.option(fc.integer({ min: -6, max: 6 }), { nil: '' })
const part = fc.oneof(
  fc
    .tuple(bound, bound, fc.constantFrom('', ':', ':1', ':2', ':2', ':3'))
    .map(([from, to, by]) => `${from}:${to}${by}`),
  fc.integer({ min: -3, max: 2 }).map(String),
  fc.constantFrom(':', '...', ' 1 : ', ' -1', '::0'),
)
/** About as many parts as there are dimensions. */
const slicesOf = (rank: number) =>
  fc.array(part, { minLength: 1, maxLength: rank + 1 }).map((parts) => parts.join(','))

t.test('every dtype of whole bytes is sliced as NumPy slices it', async (t) => {
  if (!hasNumpy()) {
    t.comment('NOT COMPARED: python3 has no numpy here; `pip install numpy` brings it')
    t.pass('the comparison needs NumPy, which is not a dependency of the registry')
    return
  }
  const dtypes = DTYPES.filter(({ bits }) => bits >= 8)
  const shapes = [[], [5], [4, 3], [2, 0, 3], [3, 1, 4], [2, 3, 2, 2]]
  const tensors = dtypes.flatMap(({ name: dtype, bits }, d) =>
    shapes.map((shape, s) => {
      const size = shape.reduce((product, dim) => product * dim, bits / 8)
      return { name: `${dtype}.${s}`, dtype, shape, bytes: random(size, d * 10 + s) }
    }),
  )
  const file = writeSafetensors(tensors)
  const path = join(t.testdir(), 'dtypes.safetensors')
  writeFileSync(path, file)
  t.equal((await put('acme/dtypes/1', file)).status, 201)
  const questions: readonly Question[] = tensors.flatMap(({ name, shape }, i) =>
    fc.sample(slicesOf(shape.length), { seed: i, numRuns: 6 }).map((slice) => ({ name, slice })),
  )
  const widths = Object.fromEntries(dtypes.map(({ name, bits }) => [name, bits / 8]))
  const answers = askNumpy(path, widths, questions)
  const wrong: unknown[] = []
  for (const [i, { name, slice }] of questions.entries()) {
    const { status, bytes, shape } = await read(urlOf('acme/dtypes/1', name, slice))
    const answer = answers[i] ?? null
    const isRight =
      answer === null
        ? status === 400
        : status === 200 &&
          bytes.toString('hex') === answer.bytes &&
          JSON.stringify(shape) === JSON.stringify(answer.shape)
    if (!isRight) wrong.push({ name, slice, answer, status, shape })
  }
  t.strictSame(wrong, [])
  const sliced = answers.filter((answer) => answer !== null).length
  t.comment({ slices: sliced, refused: answers.length - sliced })
  // Or the comparison would say little.
  t.ok(sliced > answers.length / 4 && sliced < answers.length)
})

const ROWS = 6000
const COLUMNS = 2048
const matrix = random(ROWS * COLUMNS * 2, 1)
const numbers = new Uint16Array(matrix.buffer)
await put(
  'acme/big/1',
  writeSafetensors([
    { name: 'first', dtype: 'U8', shape: [100], bytes: random(100, 2) },
    { name: 'matrix', dtype: 'F16', shape: [ROWS, COLUMNS], bytes: matrix },
  ]),
)

/** Rows and columns of the matrix, a step apart, one number after the other. */
function cells(
  rows: readonly [from: number, to: number, by: number],
  columns: readonly [from: number, to: number, by: number],
): Buffer {
  const found: number[] = []
  for (let row = rows[0]; row < rows[1]; row += rows[2])
    for (let column = columns[0]; column < columns[1]; column += columns[2])
      found.push(numbers[row * COLUMNS + column] ?? NaN)
  return Buffer.from(Uint16Array.from(found).buffer)
}

t.test('a slice over many leaves is gathered from all of them, whole or by range', async (t) => {
  const all = [0, COLUMNS, 1] as const
  for (const [slice, right] of [
    ['100:110', cells([100, 110, 1], all)],
    ['::1000', cells([0, ROWS, 1000], all)],
    [':,7', cells([0, ROWS, 1], [7, 8, 1])],
    ['5:5900,100:103', cells([5, 5900, 1], [100, 103, 1])],
    ['::7,::5', cells([0, ROWS, 7], [0, COLUMNS, 5])],
    ['::600,1::2', cells([0, ROWS, 600], [1, COLUMNS, 2])],
    ['-1,-1', cells([ROWS - 1, ROWS, 1], [COLUMNS - 1, COLUMNS, 1])],
  ] as const) {
    const url = urlOf('acme/big/1', 'matrix', slice)
    const { bytes } = await read(url)
    t.ok(bytes.equals(right), slice)
    const n = right.length
    for (const [begin, end] of [
      [0, 1],
      [n - 1, n],
      [Math.floor(n / 3) + 1, Math.floor((2 * n) / 3)],
      [Math.floor(n / 2) - 1, Math.floor(n / 2) + 2],
    ] as const) {
      if (begin < 0 || begin >= Math.min(end, n)) continue
      const part = await read(url, `bytes=${begin}-${end - 1}`)
      t.equal(part.status, 206)
      t.ok(part.bytes.equals(right.subarray(begin, end)), `${slice}: ${begin} to ${end}`)
    }
  }
})

async function reading(name: string): Promise<number> {
  const metrics = await (await request('/metrics')).text()
  return Number(new RegExp(`^strongroom_${name} (\\S+)$`, 'm').exec(metrics)?.[1])
}

t.test(
  'a kilobyte of a large tensor is one leaf read, and a range of a slice its own',
  async (t) => {
    const before = await reading('leaf_cache_misses')
    const readBy = async (url: string, range?: string): Promise<number> => {
      const before = await reading('leaf_cache_misses')
      await read(url, range)
      return (await reading('leaf_cache_misses')) - before
    }
    t.ok(before > 20, 'leaves are counted')
    // The cache has room for the last 16 of 24 leaves.
    const fillCache = () => read(urlOf('acme/big/1', 'matrix'))
    const leafRows = MIB / COLUMNS / 2
    const row = (leaf: number) => leaf * leafRows + 100
    await fillCache()
    t.equal(await readBy(urlOf('acme/big/1', 'matrix', `${row(0)},:512`)), 1)
    t.equal(await readBy(urlOf('acme/big/1', 'matrix', `${row(0)},-512:`)), 0, 'now in memory')
    t.equal(await readBy(urlOf('acme/big/1', 'matrix', `${row(1)}`)), 1, 'and nothing beside it')
    const apart = `${row(2)}:${row(5)}:${leafRows * 2}`
    const rows = await readBy(urlOf('acme/big/1', 'matrix', apart))
    t.ok(rows <= 2, 'two rows that lie far apart, of which one may have been read ahead')
    await fillCache()
    const column = urlOf('acme/big/1', 'matrix', ':,3')
    const begin = row(3) * 2
    t.equal(await readBy(column, `bytes=${begin}-${begin + 9}`), 1, 'not what lies before a range')
  },
)

t.test('a slice that nobody takes in holds one slot, however many leaves it has', async (t) => {
  const caller = call(server)
  caller.pause()
  await caller.send(head(`GET ${urlOf('acme/big/1', 'matrix', ':,1::2')}`))
  // Once another whole read of it has gone through, the first has long filled its socket.
  const { bytes } = await read(urlOf('acme/big/1', 'matrix', ':,1::2'))
  t.ok(bytes.equals(cells([0, ROWS, 1], [1, COLUMNS, 2])))
  t.ok((await reading('pinned_slots')) <= 1)
  caller.hangUp()
  await caller.closed
})
