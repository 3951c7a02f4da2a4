import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { call, deface, head, whereInVault } from '../attacks/hostile.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { type Json, jsonOf, problem, smallFile } from './wire.ts'

const server = await startServer(t)
const { request } = server

interface Written {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}
const bytesOf = (array: Float64Array | Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
const u8 = (name: string, fill: number): Written => ({
  name,
  dtype: 'U8',
  shape: [3],
  bytes: new Uint8Array(3).fill(fill),
})
const f32 = (name: string, values: readonly number[]): Written => ({
  name,
  dtype: 'F32',
  shape: [values.length],
  bytes: bytesOf(Float32Array.from(values)),
})

/** Publishes a version of these files; `m.safetensors` where it is tensors alone. */
async function publish(
  ref: string,
  files: readonly Written[] | Readonly<Record<string, readonly Written[]>>,
): Promise<void> {
  const form = new FormData()
  const named = Array.isArray(files) ? { 'm.safetensors': files } : files
  for (const [path, tensors] of Object.entries(named as Record<string, Written[]>))
    form.append('file', new Blob([Buffer.from(writeSafetensors(tensors))]), path)
  const answer = await request(`/v1/checkpoints/${ref}`, {
    token: ADMIN,
    method: 'POST',
    body: form,
  })
  if (!answer.ok) throw new Error(await answer.text())
}

const diffUrl = (name: string, query: string): string => `/v1/checkpoints/${name}/diff?${query}`
const diff = async (name: string, query = 'from=1&to=2'): Promise<Json> =>
  jsonOf(await request(diffUrl(name, query)))
const withValues = (name: string): Promise<Json> => diff(name, 'from=1&to=2&values=1')

t.test('two versions are compared by name and content', async (t) => {
  await publish('acme/a/1', [f32('gone', [1]), f32('kept', [2]), f32('other', [3, 4])])
  await publish('acme/a/2', {
    'a.safetensors': [f32('kept', [2]), f32('new', [1])],
    'b.safetensors': [f32('other', [3, 5])],
  })
  const answer = await request(diffUrl('acme/a', 'from=1&to=latest'))
  const there = { path: 'm.safetensors', dtype: 'F32', shape: [1] }
  const body = await jsonOf(answer)
  t.match(body, {
    from: { version: '1', revision: /^[0-9a-f]{64}$/ },
    to: { version: '2' },
    added: [{ ...there, name: 'new', path: 'a.safetensors', sha256: /./, size: 4 }],
    removed: [{ ...there, name: 'gone', size: 4 }],
    changed: [
      {
        name: 'other',
        path: 'b.safetensors',
        shape: [2],
        size: 8,
        from: { ...there, shape: [2], sha256: /^[0-9a-f]{64}$/ },
      },
    ],
    same: 1,
    next: null,
  })
  t.notOk('max_abs' in ((body['changed'] as Json[])[0] ?? {}), 'values only when asked for')
  const to = (body['to'] as Json)['revision']
  t.equal(answer.headers.get('x-checkpoint-revision'), to)
  t.equal(answer.headers.get('x-checkpoint-version'), '2')
  t.match(await diff('acme/a', `from=${String(to)}&to=2`), { changed: [], same: 3 })
})

t.test('other shards of the same tensors are the same', async (t) => {
  const tensors = Array.from({ length: 20 }, (_, i) => f32(`layer.${i}`, [i, i]))
  await publish('acme/shards/1', tensors)
  await publish('acme/shards/2', {
    'a/1.safetensors': tensors.slice(0, 3).reverse(),
    'a/2.safetensors': [u8('padding', 1), ...tensors.slice(3)],
  })
  t.match(await withValues('acme/shards'), {
    added: [{ name: 'padding' }],
    removed: { length: 0 },
    changed: { length: 0 },
    same: 20,
  })
})

t.test('differences come in pages', async (t) => {
  const tensors = (fill: number) => Array.from({ length: 25 }, (_, i) => u8(`t${i + 10}`, fill))
  await publish('acme/pages/1', [...tensors(1), u8('z', 1)])
  await publish('acme/pages/2', [...tensors(2), u8('z', 1)])
  const names: unknown[] = []
  let same = 0
  for (let url: string | undefined = diffUrl('acme/pages', 'from=1&to=2&limit=10'); url;) {
    const answer: Response = await request(url)
    const page = await jsonOf(answer)
    names.push(...(page['changed'] as Json[]).map(({ name }) => name))
    same += Number(page['same'])
    url = /<(.*)>; rel="next"/.exec(answer.headers.get('link') ?? '')?.[1]
    t.equal(page['next'] === null, url === undefined)
  }
  t.strictSame(
    names,
    tensors(0).map(({ name }) => name),
  )
  t.equal(same, 1)
})

t.test('what is missing or wrong is named', async (t) => {
  for (const [query, field] of [
    ['to=2', 'query.from'],
    ['from=1', 'query.to'],
    ['from=1&to=2&values=yes', 'query.values'],
    ['from=1&to=2&limit=0', 'query.limit'],
    ['from=1&to=2&limit=10001', 'query.limit'],
    ['from=1&to=2&cursor=x', 'query.cursor'],
    ['from=1&to=2&value=1', 'query.value'],
  ] as const) {
    const answer = await request(diffUrl('acme/a', query))
    await problem(t, answer, 400, 'INVALID_REQUEST', { errors: [{ field }] })
  }
  for (const query of ['from=0&to=2', 'from=1&to=0'])
    await problem(t, await request(diffUrl('acme/a', query)), 404, 'NOT_FOUND', { what: 'version' })
  const elsewhere = await request(diffUrl('acme/nowhere', 'from=1&to=2'))
  await problem(t, elsewhere, 404, 'NOT_FOUND', { what: 'checkpoint' })
  const put = await request('/v1/checkpoints/acme/a/diff', { token: ADMIN, method: 'PUT' })
  t.ok(put.status === 400 || put.status === 405, 'nothing is published there')
  await publish('acme/withdrawn/1', [u8('a', 1)])
  await publish('acme/withdrawn/2', [u8('a', 2)])
  const gone = '/v1/checkpoints/acme/withdrawn/1?reason=bad'
  t.equal((await request(gone, { token: ADMIN, method: 'DELETE' })).status, 200)
  await problem(t, await request(diffUrl('acme/withdrawn', 'from=1&to=2')), 410, 'WITHDRAWN')
})

t.test('an auditor sees what changed, not by how much', async (t) => {
  const token = await server.token('auditor')
  t.equal((await request(diffUrl('acme/a', 'from=1&to=2'), { token })).status, 200)
  const values = await request(diffUrl('acme/a', 'from=1&to=2&values=1'), { token })
  await problem(t, values, 403, 'FORBIDDEN')
  const reader = await server.token('reader', 'acme/*')
  const read = await request(diffUrl('acme/a', 'from=1&to=2&values=1'), { token: reader })
  t.equal(read.status, 200)
  const stranger = await server.token('reader', 'other/*')
  const outside = await request(diffUrl('acme/a', 'from=1&to=2'), { token: stranger })
  await problem(t, outside, 404, 'NOT_FOUND')
})

/** Changes of the one tensor `w`. */
async function changeOf(t: Test, name: string, before: Written, after: Written): Promise<Json> {
  // In front of it, what makes its place in the file an odd one.
  await publish(`acme/${name}/1`, [u8('a', 1), before])
  await publish(`acme/${name}/2`, [after])
  const { changed } = (await withValues(`acme/${name}`)) as { changed: readonly Json[] }
  t.equal(changed.length, 1, name)
  return changed[0] ?? {}
}

t.test(
  'how far values are apart is the norm of the change over the norm, and its largest',
  async (t) => {
    const values = Array.from({ length: 300_001 }, (_, i) => Math.sin(i) * (1 + (i % 7)))
    const moved = values.map((x, i) => (i % 3 === 0 ? x + Math.cos(i) / 100 : x))
    const before = Float32Array.from(values)
    const after = Float32Array.from(moved)
    let [change, norm, largest] = [0, 0, 0]
    before.forEach((x, i) => {
      const d = (after[i] ?? 0) - x
      change += d * d
      norm += x * x
      largest = Math.max(largest, Math.abs(d))
    })
    const told = await changeOf(t, 'far', f32('w', values), f32('w', moved))
    t.equal(told['max_abs'], largest)
    const relative = Math.sqrt(change / norm)
    t.ok(
      Math.abs(Number(told['relative_l2']) / relative - 1) < 1e-12,
      `${String(told['relative_l2'])} ${relative}`,
    )
    const f64: Written = {
      name: 'w',
      dtype: 'F64',
      shape: [300_001],
      bytes: bytesOf(Float64Array.from(before)),
    }
    const again = await changeOf(t, 'far-wide', f64, f32('w', moved))
    t.equal(
      again['relative_l2'],
      told['relative_l2'],
      'to the last bit, in whatever dtype and place',
    )
    const widened = await changeOf(t, 'widened', f32('w', values), f64)
    t.match(widened, { relative_l2: 0, max_abs: 0 })
  },
)

t.test('what can’t be said is null', async (t) => {
  const w = (values: readonly number[]) => f32('w', values)
  const [nan, inf] = [NaN, Infinity]
  for (const [title, before, after, expected] of [
    ['became-nan', w([1, 2]), w([1, nan]), [null, null]],
    ['was-nan', w([1, nan]), w([1, 2]), [null, null]],
    ['became-infinite', w([1, 2]), w([1, inf]), [null, null]],
    ['turned', w([1, inf]), w([1, -inf]), [null, null]],
    ['stayed-nan', w([3, 4, nan]), w([3, 9, nan]), [1, 5]],
    ['stayed-infinite', w([3, 4, -inf]), w([3, 9, -inf]), [1, 5]],
    ['from-zero', w([0, -0]), w([0, 2]), [null, 2]],
    ['to-zero', w([3, 4]), w([0, 0]), [1, 4]],
    ['sign-of-zero', w([3, 0]), w([3, -0]), [0, 0]],
    ['reshaped', w([1, 2]), { ...w([1, 2]), shape: [1, 2] }, [null, null]],
    ['integers', u8('w', 1), u8('w', 2), [null, null]],
    ['to-integers', w([1]), { ...u8('w', 1), bytes: new Uint8Array(1), shape: [1] }, [null, null]],
    ['empty', w([]), { ...w([]), dtype: 'F64' }, 'same bytes'],
  ] as const) {
    const change = await changeOf(t, title, before, after)
    const [relative, largest] = expected === 'same bytes' ? [null, 0] : expected
    t.match(change, { relative_l2: relative, max_abs: largest }, title)
  }
  const huge = (x: number): Written => ({
    name: 'w',
    dtype: 'F64',
    shape: [2],
    bytes: bytesOf(Float64Array.of(x, 1)),
  })
  t.match(await changeOf(t, 'overflow', huge(1e308), huge(-1e308)), {
    relative_l2: null,
    max_abs: null,
  })
})

const NUMPY = `
import json, sys
import numpy as np
def values(side, dtype):
    raw = open(f'{sys.argv[1]}/{side}', 'rb').read()
    if dtype == 'BF16':
        return (np.frombuffer(raw, '<u2').astype('<u4') << 16).view('<f4').astype('f8')
    return np.frombuffer(raw, {'F64': '<f8', 'F32': '<f4', 'F16': '<f2'}[dtype]).astype('f8')
out = []
for i, (a, b) in enumerate(json.loads(sys.argv[2])):
    x, y = values(f'{i}.from', a), values(f'{i}.to', b)
    out.append([float(np.linalg.norm(y - x) / np.linalg.norm(x)), float(np.abs(y - x).max())])
print(json.dumps(out))
`

t.test('NumPy says the same of every pair of dtypes', async (t) => {
  if (spawnSync('python3', ['-c', 'import numpy']).status !== 0) {
    t.comment('NOT COMPARED: python3 has no numpy here; `pip install numpy` brings it')
    t.pass('the comparison needs NumPy, which is not a dependency of the registry')
    return
  }
  const dtypes = ['F64', 'F32', 'F16', 'BF16'] as const
  const count = 20_000
  const random = (dtype: (typeof dtypes)[number], salt: number): Written => {
    const values = Array.from({ length: count }, (_, i) => Math.sin(i * salt) * 10)
    // Sixteen bits whose exponent is neither lowest nor highest: finite in both formats.
    const codes = values.map((x) => 0x3000 + Math.floor(Math.abs(x) * 100) + (x < 0 ? 0x8000 : 0))
    const array =
      dtype === 'F64'
        ? Float64Array.from(values)
        : dtype === 'F32'
          ? Float32Array.from(values)
          : Uint16Array.from(codes)
    return { name: 'w', dtype, shape: [count], bytes: bytesOf(array) }
  }
  const folder = t.testdir()
  const pairs = dtypes.flatMap((a) => dtypes.map((b) => [a, b] as const))
  const told: Json[] = []
  for (const [i, [a, b]] of pairs.entries()) {
    const [before, after] = [random(a, 1.1), random(b, 1.3)]
    writeFileSync(join(folder, `${i}.from`), before.bytes)
    writeFileSync(join(folder, `${i}.to`), after.bytes)
    told.push(await changeOf(t, `numpy-${a}-${b}`, before, after))
  }
  const { stdout } = spawnSync('python3', ['-c', NUMPY, folder, JSON.stringify(pairs)], {
    encoding: 'utf8',
  })
  const expected = JSON.parse(stdout) as readonly (readonly [number, number])[]
  expected.forEach(([relative, largest], i) => {
    const { relative_l2, max_abs } = told[i] ?? {}
    t.ok(Math.abs(Number(relative_l2) / relative - 1) < 1e-12, pairs[i]?.join(' > ') ?? '')
    t.equal(max_abs, largest)
  })
})

t.test('damage on either side is an integrity failure, never a number', async (t) => {
  for (const side of ['1', '2']) {
    const name = `damaged-${side}`
    await publish(`acme/${name}/1`, [
      f32(
        'w',
        Array.from({ length: 5000 }, (_, i) => i + Number(side)),
      ),
    ])
    await publish(`acme/${name}/2`, [
      f32(
        'w',
        Array.from({ length: 5000 }, (_, i) => i * 2 + Number(side)),
      ),
    ])
    deface(await whereInVault(server, `acme/${name}/${side}`), (bytes) =>
      bytes.fill(0, bytes.length - 4),
    )
    const answer = await request(diffUrl(`acme/${name}`, 'from=1&to=2&values=1'))
    await problem(t, answer, 500, 'INTEGRITY_FAILURE', { path: 'm.safetensors' })
    t.match(
      await diff(`acme/${name}`),
      { changed: [{ name: 'w' }] },
      'its hashes can still be told',
    )
  }
})

const LARGE = 6_000_000
const large = (scale: number): Written => ({
  name: 'w',
  dtype: 'F32',
  shape: [LARGE],
  bytes: bytesOf(new Float32Array(LARGE).fill(scale)),
})

t.test('comparisons of values take turns; more than can wait are told to come again', async (t) => {
  await publish('acme/large/1', [large(2)])
  await publish('acme/large/2', [large(3)])
  const url = diffUrl('acme/large', 'from=1&to=2&values=1')
  const answers = await Promise.all(Array.from({ length: 30 }, () => request(url)))
  const refused = answers.filter(({ status }) => status === 429)
  const good = answers.filter(({ status }) => status === 200)
  t.ok(refused.length > 0 && good.length >= 9, `${good.length} and ${refused.length}`)
  t.equal(refused.length + good.length, 30)
  for (const answer of refused) t.ok(answer.headers.has('retry-after'))
  for (const answer of good)
    t.match(await jsonOf(answer), { changed: [{ relative_l2: 0.5, max_abs: 1 }] })
  await Promise.all(refused.map((answer) => answer.text()))
})

t.test('whoever hangs up keeps nobody waiting', async (t) => {
  const callers = Array.from({ length: 9 }, () => call(server))
  const line = `GET ${diffUrl('acme/large', 'from=1&to=2&values=1')}`
  await Promise.all(callers.map((caller) => caller.send(head(line))))
  // A whole request later they have all begun, or wait.
  await diff('acme/large')
  for (const caller of callers) caller.hangUp()
  await Promise.all(callers.map(({ closed }) => closed))
  for (;;) {
    const answer = await request(diffUrl('acme/large', 'from=1&to=2&values=1'))
    if (answer.status === 429) continue
    t.match(await jsonOf(answer), { changed: [{ max_abs: 1 }] })
    break
  }
  const errors = server.log().filter(({ level }) => Number(level) >= 50)
  t.notOk(
    errors.some((line) => JSON.stringify(line).includes('unexpected error')),
    'and is no error of the server’s',
  )
})

t.test('versions without tensors differ in none', async (t) => {
  await server.put('acme/none/1', smallFile(1))
  await publish('acme/none/2', [])
  t.match(await diff('acme/none'), { removed: [{ name: 'weight' }], added: [], same: 0 })
  t.match(await withValues('acme/none'), { changed: { length: 0 } })
})
