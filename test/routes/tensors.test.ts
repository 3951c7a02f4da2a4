import { createHash } from 'node:crypto'
import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { type Json, jsonOf, problem } from './wire.ts'

const server = await startServer(t)
const { put, request, token } = server

const counting = (length: number, from = 0): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => from + i)
const tensor = (name: string, dtype: string, shape: readonly number[], bytes: Uint8Array) => ({
  name,
  dtype,
  shape,
  bytes,
})

const NAMES = [
  '__proto__',
  'constructor',
  'a/b\\c',
  '../../etc/passwd',
  'quotes " and \' and %41 & + = ; #?',
  ' spaces ',
  'модель.слой.0',
  '層.重み',
  '🧠'.repeat(40),
  '\u202Egnp.exe',
  'e\u0301',
  'n'.repeat(4096),
]
const w = tensor('w', 'U8', [2, 3, 4], counting(24))
const others = [
  tensor('half', 'F16', [4, 2], counting(16)),
  tensor('scalar', 'F32', [], counting(4)),
  tensor('empty', 'F32', [0, 3], counting(0)),
  tensor('nibbles', 'F4', [4, 4], counting(8)),
  ...NAMES.map((name, i) => tensor(name, 'U8', [3], counting(3, i * 10))),
]
const file = writeSafetensors([w, ...others], { format: 'pt' })
const version = await jsonOf(await put('acme/a/1.0', file))
const created = new Date(String(version['created_at']))
const digest = createHash('sha256').update(w.bytes).digest()
const etag = `"sha256-${digest.toString('hex')}"`

interface Asked {
  readonly ref?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly method?: string
  readonly token?: string
}
const ask = (query: Readonly<Record<string, string>>, asked: Asked = {}): Promise<Response> => {
  const { ref = 'acme/a/1.0', headers = {}, method = 'GET', token = ADMIN } = asked
  const search = new URLSearchParams(query).toString()
  return request(`/v1/checkpoints/${ref}/tensor?${search}`, { token, method, headers })
}
const bytesOf = async (response: Response) => [...new Uint8Array(await response.arrayBuffer())]

t.test('a tensor is its bytes, with its dtype, its shape and its hash', async (t) => {
  const response = await ask({ name: 'w' })
  t.equal(response.status, 200)
  t.match(Object.fromEntries(response.headers), {
    'accept-ranges': 'bytes',
    etag,
    'content-length': '24',
    'content-type': 'application/octet-stream',
    'repr-digest': `sha-256=:${digest.toString('base64')}:`,
    'cache-control': 'private, max-age=31536000, immutable',
    'last-modified': created.toUTCString(),
    'x-content-type-options': 'nosniff',
    'content-disposition': 'attachment; filename="w.bin"',
    'x-checkpoint-revision': version['revision'],
    'x-checkpoint-version': '1.0',
    'x-tensor-dtype': 'U8',
    'x-tensor-shape': '[2,3,4]',
  })
  t.strictSame(await bytesOf(response), [...w.bytes])
})

t.test('through a tag a tensor is asked for again, and has no date', async (t) => {
  const { headers } = await ask({ name: 'w' }, { ref: 'acme/a/latest' })
  t.equal(headers.get('cache-control'), 'no-cache')
  t.equal(headers.get('last-modified'), null)
  t.equal(headers.get('etag'), etag)
})

t.test('every tensor comes under its own name, whatever characters that has', async (t) => {
  for (const { name, dtype, shape, bytes } of others) {
    const response = await ask({ name })
    t.equal(response.status, 200, name.slice(0, 40))
    t.equal(response.headers.get('x-tensor-dtype'), dtype)
    t.equal(response.headers.get('x-tensor-shape'), JSON.stringify(shape))
    t.strictSame(await bytesOf(response), [...bytes])
    const saved = response.headers.get('content-disposition') ?? ''
    t.ok(saved.length < 1000, 'a name of any length leaves room for other headers')
    t.notMatch(saved, /%2F|%5C|%E2%80%AE|[/\\]/i, 'no folder, and no text that runs backwards')
  }
})

t.test('HEAD says what GET would, and sends nothing', async (t) => {
  const ofTheMessage = ['date', 'x-request-id', 'connection', 'keep-alive']
  const headers = (response: Response) =>
    [...response.headers].filter(([name]) => !ofTheMessage.includes(name))
  for (const query of [{ name: 'w' }, { name: 'w', slice: '1,::2' }, { name: 'empty' }]) {
    const head = await ask(query, { method: 'HEAD' })
    t.equal(head.status, 200)
    t.strictSame(headers(head), headers(await ask(query)))
    t.equal((await bytesOf(head)).length, 0)
  }
  t.equal((await ask({ name: 'none' }, { method: 'HEAD' })).status, 404)
})

t.test('a slice is what Python would take, in order, with the shape that it has', async (t) => {
  for (const [name, slice, shape, bytes] of [
    ['w', '0', [3, 4], counting(12)],
    ['w', '-1,1:,::2', [2, 2], [16, 18, 20, 22]],
    ['w', ':,0,0', [2], [0, 12]],
    ['w', '1,2,3', [], [23]],
    ['w', '...,-1:', [2, 3, 1], [3, 7, 11, 15, 19, 23]],
    ['w', '...', [2, 3, 4], counting(24)],
    ['w', '5:', [0, 3, 4], []],
    ['half', '::3,1', [2], [2, 3, 14, 15]],
    ['scalar', '...', [], counting(4)],
    ['empty', ':,1', [0], []],
    ['nibbles', '1:3,2:', [2, 2], [3, 5]],
  ] as const) {
    const response = await ask({ name, slice })
    t.equal(response.status, 200, `${name} ${slice}`)
    t.equal(response.headers.get('x-tensor-shape'), JSON.stringify(shape))
    t.equal(response.headers.get('content-length'), String(bytes.length))
    t.equal(response.headers.get('repr-digest'), null)
    t.strictSame(await bytesOf(response), [...bytes])
  }
})

t.test(
  'the tag of a slice is that of its indices in these bytes, however they are spelled',
  async (t) => {
    const tagOf = async (slice: string, ref = 'acme/a/1.0') => {
      const { headers } = await ask({ name: 'w', slice }, { ref, method: 'HEAD' })
      return headers.get('etag') ?? ''
    }
    const tag = await tagOf('0:1,::2')
    t.match(tag, /^"derived-[0-9a-f]{64}"$/)
    for (const same of ['-2:-1, 0:99:2', ':1,::2,...', '0:1:7,0:3:2,:,'])
      t.equal(await tagOf(same), tag, same)
    for (const other of ['0,::2', '0:1,::1', '1:2,::2']) t.not(await tagOf(other), tag, other)
    await put('acme/a/1.1', writeSafetensors([w]))
    t.equal(await tagOf('0:1,::2', 'acme/a/1.1'), tag, 'the same tensor in another file')
    await put('acme/b/1.0', writeSafetensors([tensor('w', 'U8', [2, 3, 4], counting(24, 1))]))
    t.not(await tagOf('0:1,::2', 'acme/b/1.0'), tag)
  },
)

t.test('ranges and conditions are of the tensor, or of the slice', async (t) => {
  for (const [query, bytes] of [
    [{ name: 'w' }, [...w.bytes]],
    [{ name: 'w', slice: ':,1:,1:' }, [5, 6, 7, 9, 10, 11, 17, 18, 19, 21, 22, 23]],
  ] as const) {
    const { headers } = await ask(query, { method: 'HEAD' })
    const tag = headers.get('etag') ?? ''
    const range = 'bytes=2-6'
    const part = await ask(query, { headers: { range } })
    t.equal(part.status, 206)
    t.equal(part.headers.get('content-range'), `bytes 2-6/${bytes.length}`)
    t.strictSame(await bytesOf(part), bytes.slice(2, 7))
    t.strictSame(
      await bytesOf(await ask(query, { headers: { range: 'bytes=-3' } })),
      bytes.slice(-3),
    )
    const several = await ask(query, { headers: { range: 'bytes=0-1,4-5' } })
    t.equal(several.status, 206)
    t.match(several.headers.get('content-type'), /^multipart\/byteranges/)
    const beyond = await ask(query, { headers: { range: 'bytes=99-' } })
    t.equal(beyond.headers.get('content-range'), `bytes */${bytes.length}`)
    t.equal(beyond.headers.get('x-tensor-shape'), null, 'a problem has no shape')
    await problem(t, beyond, 416, 'RANGE_NOT_SATISFIABLE')
    t.equal((await ask(query, { headers: { 'if-none-match': tag } })).status, 304)
    t.equal((await ask(query, { headers: { range, 'if-range': tag } })).status, 206)
    t.equal((await ask(query, { headers: { range, 'if-range': '"other"' } })).status, 200)
    await problem(
      t,
      await ask(query, { headers: { 'if-match': '"other"' } }),
      412,
      'PRECONDITION_FAILED',
    )
    t.equal((await ask(query, { headers: { 'if-match': tag } })).status, 200)
  }
  const none = await ask({ name: 'empty' }, { headers: { range: 'bytes=0-0' } })
  await problem(t, none, 416, 'RANGE_NOT_SATISFIABLE')
})

t.test('the hash that a caller expects is of the whole tensor', async (t) => {
  const sha256 = digest.toString('hex')
  t.equal((await ask({ name: 'w', sha256 })).status, 200)
  const wrong = await ask({ name: 'w', sha256: '0'.repeat(64) })
  await problem(t, wrong, 412, 'PRECONDITION_FAILED', { actual: sha256 })
  await problem(t, await ask({ name: 'w', sha256: 'abc' }), 400, 'INVALID_REQUEST')
  const ofSlice = await ask({ name: 'w', slice: '0', sha256 })
  await problem(t, ofSlice, 400, 'INVALID_REQUEST', { errors: [{ field: 'query.sha256' }] })
})

t.test('what is no slice of the tensor is 400 and says which dimension', async (t) => {
  for (const [name, slice, dimension] of [
    ['w', '2', 0],
    ['w', ':,-4', 1],
    ['w', ':,:,::0', 2],
    ['w', ':,:,::-1', 2],
    ['w', '0,0,0,0', 3],
    ['w', '', 0],
    ['w', '...,...', 0],
    ['scalar', '0', 0],
    ['scalar', ':', 0],
    ['empty', '0', 0],
  ] as const) {
    const response = await ask({ name, slice })
    t.equal(response.headers.get('x-checkpoint-version'), '1.0')
    await problem(t, response, 400, 'INVALID_REQUEST', {
      errors: [
        { field: 'query.slice', detail: new RegExp(`^dimension ${dimension}: .`), dimension },
      ],
    })
  }
})

t.test('a slice that ends inside a byte is 422', async (t) => {
  for (const [slice, dimension] of [
    ['0,0', 1],
    [':,1:3', 1],
    [':,::2', 1],
  ] as const) {
    await problem(t, await ask({ name: 'nibbles', slice }), 422, 'SLICE_NOT_ON_BYTES', {
      dimension,
      dtype: 'F4',
      bits: 4,
    })
  }
})

t.test('a tensor that there is not is 404 with those whose names are nearest', async (t) => {
  const layers = ['q', 'k', 'v'].flatMap((part) =>
    Array.from({ length: 12 }, (_, i) => `model.layers.${i}.${part}_proj.weight`),
  )
  const tensors = layers.map((name) => tensor(name, 'U8', [1], counting(1)))
  await put('acme/layers/1.0', writeSafetensors(tensors))
  const ref = 'acme/layers/1.0'
  for (const [name, nearest] of [
    ['model.layers.3.q_prj.weight', ['model.layers.3.q_proj.weight']],
    ['model.layer.7.v_proj.weight', ['model.layers.7.v_proj.weight']],
    ['odel.layers.11.k_proj.weight', ['model.layers.11.k_proj.weight']],
    ['\0', []],
    ['x'.repeat(8000), []],
  ] as const) {
    const response = await ask({ name }, { ref })
    t.equal(response.headers.get('x-checkpoint-version'), '1.0')
    const body = await problem(t, response, 404, 'NOT_FOUND', { what: 'tensor', tensor: name })
    const found = body['nearest'] as readonly string[]
    t.equal(found.length, 5)
    t.strictSame(found.slice(0, nearest.length), nearest)
  }
  const elsewhere = await ask({ name: 'w', path: 'other.safetensors' })
  await problem(t, elsewhere, 404, 'NOT_FOUND', { what: 'file' })
  await problem(t, await ask({ name: 'w' }, { ref: 'acme/a/9' }), 404, 'NOT_FOUND', {
    what: 'version',
  })
})

t.test('a request that is not one is refused, and so is a parameter nobody knows', async (t) => {
  const url = '/v1/checkpoints/acme/a/1.0/tensor'
  for (const [query, field] of [
    ['', 'query.name'],
    ['?name=w&name=half', 'query.name'],
    ['?name=w&slices=0', 'query.slices'],
    ['?name=w&slice=0&slice=1', 'query.slice'],
  ] as const) {
    await problem(t, await request(url + query), 400, 'INVALID_REQUEST', { errors: [{ field }] })
  }
  await problem(t, await request(`${url}?name=w&path=../x`), 400, 'INVALID_NAME', { what: 'path' })
  await problem(t, await request(url, { token: ADMIN, method: 'POST' }), 405, 'METHOD_NOT_ALLOWED')
})

t.test('where several files hold a name, the caller says which', async (t) => {
  const form = new FormData()
  for (const [path, from] of [
    ['a.safetensors', 0],
    ['b.safetensors', 50],
  ] as const) {
    const shared = tensor('shared', 'U8', [4], counting(4, from))
    const own = tensor(`own.${path[0] ?? ''}`, 'U8', [2], counting(2, from))
    form.append('file', new Blob([writeSafetensors([shared, own])]), path)
  }
  const published = await request('/v1/checkpoints/acme/many/1.0', {
    token: ADMIN,
    method: 'POST',
    body: form,
  })
  t.equal(published.status, 201)
  const ref = 'acme/many/1.0'
  await problem(t, await ask({ name: 'shared' }, { ref }), 400, 'INVALID_REQUEST', {
    errors: [{ field: 'query.path' }],
    paths: ['a.safetensors', 'b.safetensors'],
  })
  const one = await ask({ name: 'shared', path: 'b.safetensors', slice: '1:' }, { ref })
  t.strictSame(await bytesOf(one), [51, 52, 53])
  t.strictSame(await bytesOf(await ask({ name: 'own.b' }, { ref })), [50, 51], 'one file holds it')
  const wrong = await ask({ name: 'own.b', path: 'a.safetensors' }, { ref })
  await problem(t, wrong, 404, 'NOT_FOUND', { what: 'tensor', nearest: ['own.a', 'shared'] })
})

t.test('an auditor reads no weights, and a caller out of scope finds nothing', async (t) => {
  const auditor = await token('auditor')
  await problem(t, await ask({ name: 'w' }, { token: auditor }), 403, 'FORBIDDEN')
  const stranger = await token('reader', 'other/*')
  await problem(t, await ask({ name: 'w' }, { token: stranger }), 404, 'NOT_FOUND', {
    what: 'checkpoint',
  })
})

t.test('of a withdrawn version nothing is read, and the reason is told', async (t) => {
  await put('acme/gone/1', writeSafetensors([w]))
  const url = '/v1/checkpoints/acme/gone/1'
  await request(`${url}?reason=poisoned`, { token: ADMIN, method: 'DELETE' })
  for (const query of ['tensor?name=w', 'tensor?name=w&slice=0', 'select?name=w', 'select'])
    await problem(t, await request(`${url}/${query}`), 410, 'WITHDRAWN', { reason: 'poisoned' })
})

t.test('reads are entered by file, with their bytes and no tensor’s name', async (t) => {
  const reader = await token('reader')
  for (const query of [{ name: 'w' }, { name: 'w', slice: '0' }, { name: 'half' }])
    await bytesOf(await ask(query, { token: reader }))
  const { items } = await jsonOf(await request('/v1/audit?action=download&limit=1000'))
  const entries = (items as readonly Json[]).filter(
    ({ who }) => (who as Json)['name'] === 'reader of a test',
  )
  t.match(entries, [{ subject: 'acme/a@1.0', outcome: 'ok' }])
  const { path, count, bytes, ...rest } = entries[0]?.['details'] as Json
  t.strictSame({ path, count, bytes }, { path: 'model.safetensors', count: 3, bytes: 52 })
  t.strictSame(Object.keys(rest), ['since'])
})
