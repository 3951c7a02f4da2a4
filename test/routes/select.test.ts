import fc from 'fast-check'
import { createHash } from 'node:crypto'
import safetensors from 'safetensors'
import t from 'tap'
import { askOracle, hasOracle } from '../../bench/fuzz-safetensors/oracle.ts'
import { tensorAt } from '../../src/safetensors/columns.ts'
import { DTYPES } from '../../src/safetensors/dtypes.ts'
import { validate } from '../../src/safetensors/stream.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { call, dice, head, shout } from '../attacks/hostile.ts'
import { ADMIN, startServer, type TestServer } from '../helpers/server.ts'
import { type Json, jsonOf, problem } from './wire.ts'

const server = await startServer(t, { STRONGROOM_MAX_SELECT_TENSORS: '100' })
const { put, request, token } = server

const roll = dice(1)
const random = (length: number): Uint8Array => Uint8Array.from({ length }, () => roll() * 256)

interface Made {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}
const made = (name: string, dtype: string, shape: readonly number[]): Made => {
  const bits = DTYPES.find((each) => each.name === dtype)?.bits ?? 0
  return { name, dtype, shape, bytes: random(shape.reduce((n, dim) => n * dim, bits) / 8) }
}

/** A version of several files. */
async function publish(
  ref: string,
  files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>,
): Promise<void> {
  const form = new FormData()
  for (const [path, file] of Object.entries(files)) form.append('file', new Blob([file]), path)
  const init = { token: ADMIN, method: 'POST', body: form }
  const { status } = await request(`/v1/checkpoints/${ref}`, init)
  if (status !== 201) throw new Error(`not published: ${status}`)
}

const dtypes = DTYPES.map(({ name }, i) => made(`d.${name}`, name, [2, i % 3, 4]))
const first = [
  ...dtypes.slice(0, 11),
  made('__proto__', 'I8', [3]),
  made('модель.🧠', 'U8', [5]),
  made('shared', 'U8', [1]),
]
const second = [
  ...dtypes.slice(11),
  made('scalar', 'F32', []),
  made('big', 'F16', [1024, 1200]),
  made('odd', 'F6_E2M3', [4]),
  made('shared', 'U8', [1]),
]
const own = [...first, ...second].filter(({ name }) => name !== 'shared')
await publish('acme/a/1.0', {
  'a.safetensors': writeSafetensors(first, { format: 'pt', shard: '1' }),
  'b.safetensors': writeSafetensors(second, { format: 'pt', shard: '2' }),
})
await publish('acme/bare/1.0', {
  'a.safetensors': writeSafetensors(first),
  'b.safetensors': writeSafetensors(second),
})

type Query = readonly (readonly [string, string])[]
const names = (...all: readonly string[]): Query => all.map((name) => ['name', name])
interface Asked {
  readonly ref?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly method?: string
  readonly token?: string
  readonly of?: TestServer
}
const select = (query: Query, asked: Asked = {}): Promise<Response> => {
  const { ref = 'acme/a/1.0', headers = {}, method = 'GET', token = ADMIN, of = server } = asked
  const search = new URLSearchParams(
    query.map(([key, value]): [string, string] => [key, value]),
  ).toString()
  return of.request(`/v1/checkpoints/${ref}/select?${search}`, { token, method, headers })
}
const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer())

/** The tensors of a file as our own validator reads them, in the order of their bytes. */
function tensorsIn(file: Uint8Array): readonly (Made & { readonly begin: number })[] {
  const { columns } = validate(file)
  return Array.from({ length: columns.count }, (_, i) => {
    const { begin, end, ...entry } = tensorAt(columns, i)
    return { ...entry, begin, bytes: file.slice(begin, end) }
  })
}

const byName = (a: Made, b: Made): number => (a.name < b.name ? -1 : 1)
const plain = ({ name, dtype, shape, bytes }: Made) => ({
  name,
  dtype,
  shape: [...shape],
  bytes: Buffer.from(bytes).toString('hex'),
})

t.test('a selection is a valid file of just those tensors', async (t) => {
  const response = await select(names('big', '__proto__', 'scalar'))
  t.equal(response.status, 200)
  const file = await bytesOf(response)
  t.match(Object.fromEntries(response.headers), {
    'accept-ranges': 'bytes',
    etag: /^"derived-[0-9a-f]{64}"$/,
    'content-length': String(file.length),
    'content-type': 'application/octet-stream',
    'cache-control': 'private, max-age=31536000, immutable',
    'content-disposition': 'attachment; filename="selection.safetensors"',
    'x-content-type-options': 'nosniff',
    'x-checkpoint-revision': /^[0-9a-f]{64}$/,
    'x-checkpoint-version': '1.0',
  })
  const right = own.filter(({ name }) => ['big', '__proto__', 'scalar'].includes(name))
  t.strictSame(tensorsIn(file).toSorted(byName).map(plain), right.toSorted(byName).map(plain))
})

t.test('any subset is read by our validator, by the reference and by another reader', async (t) => {
  const small = own.filter(({ name }) => name !== 'big')
  const subsets = fc.sample(fc.subarray(small, { minLength: 1 }), { seed: 20_261_122, numRuns: 40 })
  const files: Buffer[] = []
  for (const subset of subsets) {
    const file = await bytesOf(await select(names(...subset.map(({ name }) => name))))
    files.push(file)
    const right = subset.toSorted(byName).map(plain)
    const tensors = tensorsIn(file)
    t.strictSame(tensors.toSorted(byName).map(plain), right)
    const misplaced = tensors.filter(({ begin, dtype }) => {
      const bits = DTYPES.find((each) => each.name === dtype)?.bits ?? 0
      return bits >= 8 && begin % (bits / 8) !== 0
    })
    t.strictSame(misplaced, [], 'every tensor of whole bytes begins where its dtype is at home')
    // This one takes metadata for a tensor.
    const bare = await select(names(...subset.map(({ name }) => name)), { ref: 'acme/bare/1.0' })
    const reader = new safetensors.SafeTensor(await bytesOf(bare))
    for (const { name, bytes } of subset)
      t.ok(Buffer.from(bytes).equals(reader.getTensor(name)), name)
  }
  if (!hasOracle()) {
    t.comment('NOT COMPARED: python3 has no safetensors here; `pip install safetensors` brings it')
    return
  }
  const read = askOracle(files, t.testdir())
  for (const [i, subset] of subsets.entries()) {
    const tensors = [...(read[i] ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1))
    t.strictSame(tensors, subset.toSorted(byName).map(plain))
  }
})

t.test('the same tensors are the same bytes, in whatever order and however often', async (t) => {
  const wanted = ['big', 'scalar', 'd.F64', 'd.U8', 'odd']
  const right = await select(names(...wanted))
  const file = await bytesOf(right)
  for (const query of [
    names(...wanted.toReversed()),
    names(...wanted, ...wanted),
    [...names('odd', 'scalar', 'big', 'd.F64'), ['prefix', 'd.U8']] as const,
  ]) {
    const response = await select(query)
    t.equal(response.headers.get('etag'), right.headers.get('etag'))
    t.ok((await bytesOf(response)).equals(file))
  }
  await put('acme/b/1', writeSafetensors([made('scalar', 'F32', [])]))
  await put('acme/b/2', writeSafetensors([made('scalar', 'F32', [])]))
  const [one, two] = await Promise.all(
    ['acme/b/1', 'acme/b/2'].map((ref) => select(names('scalar'), { ref, method: 'HEAD' })),
  )
  t.not(one?.headers.get('etag'), two?.headers.get('etag'), 'the same names of other bytes')
  const other = await select(names(...wanted.slice(1)))
  t.not(other.headers.get('etag'), right.headers.get('etag'))
})

t.test('a prefix takes all whose names begin so, and an empty one takes everything', async (t) => {
  const file = await bytesOf(await select([['prefix', 'd.F8']]))
  const right = own.filter(({ name }) => name.startsWith('d.F8'))
  t.ok(right.length > 1)
  t.strictSame(tensorsIn(file).toSorted(byName).map(plain), right.toSorted(byName).map(plain))
  const both = await bytesOf(await select([['prefix', 'd.F8'], ...names('scalar', 'd.F8_E5M2')]))
  t.equal(tensorsIn(both).length, right.length + 1)
  const all = await bytesOf(
    await select([
      ['prefix', ''],
      ['path', 'a.safetensors'],
    ]),
  )
  t.strictSame(tensorsIn(all).toSorted(byName).map(plain), first.toSorted(byName).map(plain))
})

t.test('metadata is what all files agree on from which something was taken', async (t) => {
  const metadataOf = async (query: Query, ref?: string) => ({
    ...validate(await bytesOf(await select(query, ref === undefined ? {} : { ref }))).metadata,
  })
  t.strictSame(await metadataOf(names('scalar')), { format: 'pt', shard: '2' })
  t.strictSame(await metadataOf(names('scalar', '__proto__')), { format: 'pt' })
  const bare = await bytesOf(await select(names('scalar'), { ref: 'acme/bare/1.0' }))
  t.equal(validate(bare).hasMetadata, false)
})

t.test('HEAD says what GET would; the digest is told once somebody took it whole', async (t) => {
  const query = names('big', 'd.U16', 'd.I8')
  const before = await select(query, { method: 'HEAD' })
  t.equal(before.headers.get('repr-digest'), null)
  t.equal((await bytesOf(before)).length, 0)
  const range = { range: 'bytes=0-99' }
  await bytesOf(await select(query, { headers: range }))
  t.equal((await select(query, { method: 'HEAD' })).headers.get('repr-digest'), null)
  const response = await select(query)
  t.equal(response.headers.get('content-length'), before.headers.get('content-length'))
  t.equal(response.headers.get('etag'), before.headers.get('etag'))
  const file = await bytesOf(response)
  const digest = createHash('sha256').update(file).digest('base64')
  for (const method of ['HEAD', 'GET']) {
    const after = await select(query, { method })
    t.equal(after.headers.get('repr-digest'), `sha-256=:${digest}:`)
    await bytesOf(after)
  }
})

t.test('any range of a selection is that range of it', async (t) => {
  const query = names(...own.map(({ name }) => name).filter((name) => name !== 'd.F4'))
  const response = await select(query)
  const etag = response.headers.get('etag') ?? ''
  const file = await bytesOf(response)
  const headerEnd = validate(file).dataBegin
  const marks = [0, 8, headerEnd - 1, headerEnd, headerEnd + 1, file.length - 1]
  const ranges = [
    ...marks.flatMap((begin) => marks.filter((end) => end > begin).map((end) => [begin, end])),
    ...fc.sample(fc.tuple(fc.nat(file.length - 1), fc.nat(file.length - 1)), {
      seed: 1,
      numRuns: 40,
    }),
  ].map((pair) => pair.toSorted((a, b) => a - b))
  for (const [begin = 0, last = 0] of ranges) {
    const part = await select(query, { headers: { range: `bytes=${begin}-${last}` } })
    t.equal(part.status, 206)
    t.equal(part.headers.get('content-range'), `bytes ${begin}-${last}/${file.length}`)
    t.ok((await bytesOf(part)).equals(file.subarray(begin, last + 1)), `${begin} to ${last}`)
  }
  t.equal((await select(query, { headers: { 'if-none-match': etag } })).status, 304)
  t.equal((await select(query, { headers: { range: 'bytes=0-1', 'if-range': etag } })).status, 206)
  t.equal((await select(query, { headers: { 'if-match': '"other"' } })).status, 412)
  await problem(
    t,
    await select(query, { headers: { range: `bytes=${file.length}-` } }),
    416,
    'RANGE_NOT_SATISFIABLE',
  )
})

t.test('what can’t be selected is refused: nothing, the unknown, the ambiguous', async (t) => {
  const none = await select([])
  t.equal(none.headers.get('x-checkpoint-version'), '1.0')
  await problem(t, none, 400, 'INVALID_REQUEST', { errors: [{ field: 'query.name' }] })
  await problem(t, await select(names('big', 'bag', 'odd')), 404, 'NOT_FOUND', {
    what: 'tensor',
    tensor: 'bag',
    nearest: ['big'],
  })
  await problem(t, await select([['prefix', 'none.']]), 404, 'NOT_FOUND', { what: 'tensor' })
  for (const query of [names('big', 'shared'), [['prefix', 'sh']] as const]) {
    await problem(t, await select(query), 400, 'INVALID_REQUEST', {
      errors: [{ field: 'query.path' }],
      tensor: 'shared',
      paths: ['a.safetensors', 'b.safetensors'],
    })
  }
  const inFile = await select([...names('shared'), ['path', 'b.safetensors']])
  t.strictSame(tensorsIn(await bytesOf(inFile)).map(plain), second.slice(-1).map(plain))
  for (const [query, field] of [
    [
      [
        ['prefix', 'a'],
        ['prefix', 'b'],
      ],
      'query.prefix',
    ],
    [[...names('big'), ['sha256', '0'.repeat(64)]], 'query.sha256'],
  ] as const) {
    await problem(t, await select(query), 400, 'INVALID_REQUEST', { errors: [{ field }] })
  }
  await problem(t, await select([...names('big'), ['path', 'c']]), 404, 'NOT_FOUND', {
    what: 'file',
  })
  const auditor = await token('auditor')
  await problem(t, await select(names('big'), { token: auditor }), 403, 'FORBIDDEN')
})

t.test('more names or tensors than a selection may have are refused', async (t) => {
  const many = Array.from({ length: 101 }, (_, i) => made(`m.${i}`, 'U8', [1]))
  await put('acme/many/1.0', writeSafetensors(many))
  const ref = 'acme/many/1.0'
  await problem(t, await select([['prefix', 'm.']], { ref }), 413, 'TOO_LARGE', { limit: 100 })
  const tooMany = names(...many.map(({ name }) => name))
  await problem(t, await select(tooMany, { ref }), 413, 'TOO_LARGE', { limit: 100 })
  t.equal((await select(tooMany.slice(1), { ref })).status, 200)
})

t.test('10,000 names are a problem that says so, however short they are', async (t) => {
  for (const name of ['a', 'layer.weight'.repeat(10)]) {
    const query = Array.from({ length: 10_000 }, () => `name=${name}`).join('&')
    const url = `/v1/checkpoints/acme/a/1.0/select?${query}`
    const answer = await shout(server, head(`GET ${url}`, 'Connection: close'))
    t.match(answer, /^HTTP\/1.1 431 .*content-type: application\/problem\+json/s)
    t.match(answer, /"code":"REQUEST_HEADER_FIELDS_TOO_LARGE"/)
  }
  // As many as fit into a request line.
  const query = names(...Array.from({ length: 2000 }, () => 'z'))
  await problem(t, await select(query), 413, 'TOO_LARGE', { limit: 100 })
})

t.test('selections share a memory; whoever finds none left is asked to come again', async (t) => {
  const server = await startServer(t, { STRONGROOM_SELECT_MEMORY_BYTES: '1MiB' })
  const bytes = new Uint8Array(200_000)
  const wide = Array.from({ length: 200 }, (_, i) => ({
    ...{ name: `${i}${'n'.repeat(1000)}`, dtype: 'U8', shape: [bytes.length] },
    bytes,
  }))
  await server.put('acme/wide/1.0', writeSafetensors(wide))
  const asked = { ref: 'acme/wide/1.0', of: server }
  await problem(t, await select([['prefix', '']], asked), 413, 'TOO_LARGE', { limit: 2 ** 20 })

  const caller = call(server)
  await caller.send(head('GET /v1/checkpoints/acme/wide/1.0/select?prefix=1'))
  await caller.until('HTTP/1.1')
  caller.pause()
  const refused = await select([['prefix', '1']], asked)
  t.match(refused.headers.get('retry-after'), /^\d+$/)
  await problem(t, refused, 429, 'TOO_MANY_REQUESTS')
  t.equal((await select([['prefix', '11']], asked)).status, 200, 'a small one finds room')
  caller.hangUp()
  await caller.closed
  let again: Response
  do again = await select([['prefix', '1']], { ...asked, method: 'HEAD' })
  while (again.status === 429)
  t.equal(again.status, 200, 'what a caller had is given back')
})

t.test('a selection is entered once a file, with the bytes that came from it', async (t) => {
  const reader = await token('reader')
  await bytesOf(await select(names('scalar', '__proto__', 'модель.🧠'), { token: reader }))
  const { items } = await jsonOf(await request('/v1/audit?action=download&limit=1000'))
  const entries = (items as readonly Json[])
    .filter(({ who }) => (who as Json)['name'] === 'reader of a test')
    .map(({ outcome, details }) => {
      const { path, count, bytes } = details as Json
      return { outcome, path, count, bytes }
    })
  t.strictSame(entries, [
    { outcome: 'ok', path: 'a.safetensors', count: 1, bytes: 8 },
    { outcome: 'ok', path: 'b.safetensors', count: 1, bytes: 4 },
  ])
})
