import { createHash } from 'node:crypto'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { jsonOf, problem, smallFile } from './wire.ts'

const { url, put, request, token } = await startServer(t)

const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
const ZEROS = '0'.repeat(64)

t.test('a published file is described, with its address and its revision', async (t) => {
  const file = smallFile(1, { format: 'pt' })
  const response = await put('acme/first/1.0', file, { query: '?meta.epoch=3&meta.loss=0.12' })
  const description = await jsonOf(response)
  t.equal(response.status, 201)
  t.equal(response.headers.get('location'), '/v1/checkpoints/acme/first/1.0')
  t.equal(response.headers.get('x-checkpoint-version'), '1.0')
  t.equal(response.headers.get('x-checkpoint-revision'), description['revision'])
  const sha256 = digestOf(file).toString('hex')
  t.strictSame(
    { ...description, revision: '', created_at: '' },
    {
      checkpoint: 'acme/first',
      version: '1.0',
      revision: '',
      state: 'available',
      created_at: '',
      created_by: 'admin',
      size: file.length,
      tensors: 1,
      parameters: 4,
      metadata: { format: 'pt', epoch: '3', loss: '0.12' },
      files: [
        {
          path: 'model.safetensors',
          size: file.length,
          sha256,
          tensors: 1,
          metadata: { format: 'pt' },
        },
      ],
      tags: ['latest'],
      warnings: [],
    },
  )
  t.match(description['created_at'], /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  t.match(description['revision'], /^[0-9a-f]{64}$/)
  const again = await request(response.headers.get('location') ?? '')
  t.strictSame(await jsonOf(again), description)
})

t.test('the same publish again is no error and changes nothing', async (t) => {
  const first = await put('acme/again/1.0', smallFile(1), { query: '?meta.a=1' })
  const second = await put('acme/again/1.0', smallFile(1), { query: '?meta.a=1' })
  t.equal(first.status, 201)
  t.equal(second.status, 200)
  t.equal(second.headers.get('location'), null)
  t.strictSame(await jsonOf(second), await jsonOf(first))
})

t.test('a version never changes: other bytes, metadata or paths are refused', async (t) => {
  const { revision } = await jsonOf(await put('acme/fixed/1.0', smallFile(1)))
  const facts = { revision }
  await problem(t, await put('acme/fixed/1.0', smallFile(2)), 409, 'VERSION_EXISTS', facts)
  for (const query of ['?meta.a=1', '?path=other.safetensors']) {
    const response = await put('acme/fixed/1.0', smallFile(1), { query })
    await problem(t, response, 409, 'VERSION_EXISTS', facts)
  }
  t.match(await jsonOf(await request('/v1/checkpoints/acme/fixed/1.0')), facts)
})

t.test('a caller can repeat what a file says of itself, not contradict it', async (t) => {
  const file = smallFile(1, { model: 'bert', epoch: '3' })
  const refused = await put('acme/said/1.0', file, { query: '?meta.model=gpt' })
  await problem(t, refused, 422, 'METADATA_REFUSED', { rule: /./, key: 'model' })
  await problem(t, await request('/v1/checkpoints/acme/said/1.0'), 404, 'NOT_FOUND')
  const taken = await put('acme/said/1.0', file, { query: '?meta.model=bert&meta.layer=12' })
  t.match(await jsonOf(taken), { metadata: { model: 'bert', epoch: '3', layer: '12' } })
})

t.test('what is given twice is refused rather than chosen from', async (t) => {
  for (const [query, field] of [
    ['?meta.a=1&meta.a=2', 'query.meta.a'],
    ['?meta.=1', 'query.meta.'],
    ['?path=a&path=b', 'query.path'],
  ] as const) {
    const response = await put('acme/twice/1.0', smallFile(), { query })
    await problem(t, response, 400, 'INVALID_REQUEST', { errors: [{ field, detail: /./ }] })
  }
})

for (const [name, write] of [
  ['Repr-Digest', (digest: Buffer) => `sha-256=:${digest.toString('base64')}:`],
  ['Content-Digest', (digest: Buffer) => `sha-256=:${digest.toString('base64')}:`],
  ['X-Checksum-Sha256', (digest: Buffer) => digest.toString('hex')],
] as const) {
  t.test(`a file that is not what ${name} says is not kept`, async (t) => {
    const ref = `acme/${name.toLowerCase()}/1.0`
    const file = smallFile()
    const wrong = await put(ref, file, { headers: { [name]: write(Buffer.alloc(32)) } })
    await problem(t, wrong, 422, 'DIGEST_MISMATCH', {
      expected: ZEROS,
      actual: digestOf(file).toString('hex'),
    })
    await problem(t, await request(`/v1/checkpoints/${ref}`), 404, 'NOT_FOUND')
    const unreadable = await put(ref, file, { headers: { [name]: 'sha-256=:???:' } })
    await problem(t, unreadable, 400, 'INVALID_REQUEST')
    const right = await put(ref, file, { headers: { [name]: write(digestOf(file)) } })
    t.equal(right.status, 201)
  })
}

t.test('the body is the file, whatever its content type says', async (t) => {
  const types = ['application/json', 'multipart/form-data', 'text/plain', 'application/x-www-form']
  for (const [i, type] of types.entries()) {
    const headers = { 'content-type': type }
    t.equal((await put(`acme/typed/1.${i}`, smallFile(), { headers })).status, 201)
  }
})

t.test('a file whose length nobody announced is taken', async (t) => {
  const body = new Blob([smallFile()]).stream()
  const response = await request('/v1/checkpoints/acme/chunked/1.0', {
    token: ADMIN,
    method: 'PUT',
    body,
    duplex: 'half',
  })
  t.equal(response.status, 201)
})

t.test('a file goes by the path that the caller gives it', async (t) => {
  const response = await put('acme/path/1.0', smallFile(), { query: '?path=onnx/модель.st' })
  t.match(await jsonOf(response), { files: [{ path: 'onnx/модель.st' }] })
  const file = await request(`/v1/checkpoints/acme/path/1.0/files/onnx/${encodeURI('модель.st')}`)
  t.equal(file.status, 200)
  for (const path of ['../a', '/a', 'a//b', 'a/./b', 'a%00', 'a%5Cb', '', 'a'.repeat(513)]) {
    const refused = await put('acme/path/1.1', smallFile(), { query: `?path=${path}` })
    await problem(t, refused, 400, 'INVALID_NAME', { what: 'path', rule: /./ })
  }
})

t.test('names that break a rule are told which', async (t) => {
  for (const [ref, what] of [
    ['-a/b/1', 'owner'],
    ['a--b/b/1', 'owner'],
    ['a..b/b/1', 'owner'],
    ['docs/b/1', 'owner'],
    ['V1/b/1', 'owner'],
    ['a/b.git/1', 'name'],
    ['a/b-/1', 'name'],
    [`a/${'b'.repeat(97)}/1`, 'name'],
    ['a/b%2Fc/1', 'name'],
    ['a/b/-1', 'version'],
    ['a/b/main', 'version'],
    ['a/b/HEAD', 'version'],
    ['a/b/tags', 'version'],
    [`a/b/${'0123456789abcdef0123'.repeat(2)}`, 'version'],
    [`a/b/${'F'.repeat(64)}`, 'version'],
    [`a/b/${'1'.repeat(129)}`, 'version'],
  ] as const) {
    await problem(t, await put(ref, smallFile()), 400, 'INVALID_NAME', { what, rule: /./ })
  }
})

t.test('no version is named like a tag, not even the first', async (t) => {
  await problem(t, await put('acme/tagged/latest', smallFile()), 409, 'VERSION_EXISTS')
  await problem(t, await request('/v1/checkpoints/acme/tagged'), 404, 'NOT_FOUND')
})

t.test('owner and name are one checkpoint in any case, spelled as it was first', async (t) => {
  t.equal((await put('Acme/CamelCase/1.0', smallFile(1))).status, 201)
  const second = await put('aCME/camelcase/1.1', smallFile(2))
  t.match(await jsonOf(second), { checkpoint: 'Acme/CamelCase' })
  t.equal(second.headers.get('location'), '/v1/checkpoints/Acme/CamelCase/1.1')
  const same = await put('ACME/CAMELCASE/1.0', smallFile(1))
  t.equal(same.status, 200)
  t.match(await jsonOf(await request('/v1/checkpoints/acme/camelcase')), {
    checkpoint: 'Acme/CamelCase',
    versions: { length: 2 },
    tags: { latest: '1.1' },
  })
})

t.test('only an admin publishes below the owner strongroom', async (t) => {
  const writer = await token('writer')
  for (const owner of ['strongroom', 'StrongRoom']) {
    const refused = await put(`${owner}/pii/1.0`, smallFile(), { token: writer })
    await problem(t, refused, 403, 'FORBIDDEN')
  }
  t.equal((await put('strongroom/pii/1.0', smallFile())).status, 201)
})

t.test('metadata that does not fit the version is warned of, not refused', async (t) => {
  const hour = 3_600_000
  const zoneless = (ms: number) => new Date(Date.now() + ms).toISOString().slice(0, 19)
  for (const [i, [metadata, warning]] of (
    [
      [{ version: '9.9' }, /version/],
      [{ created_at: 'yesterday' }, /created_at is not a date/],
      [{ created_at: '2026-02-30T00:00:00Z' }, /created_at is not a date/],
      [{ created_at: `${zoneless(hour)}Z` }, /created_at lies ahead/],
      [{ created_at: zoneless(15 * hour) }, /created_at lies ahead/],
      [{ created_at: zoneless(13 * hour) }, undefined],
      [{ created_at: zoneless(-hour) }, undefined],
      [{ created_at: '2024-05-01 12:00:00.5+02:00' }, undefined],
      [{ version: '1.8' }, undefined],
    ] as const
  ).entries()) {
    const response = await put(`acme/warned/1.${i}`, smallFile(1, metadata))
    t.equal(response.status, 201)
    const { warnings } = await jsonOf(response)
    t.match(warnings, warning === undefined ? { length: 0 } : [warning], JSON.stringify(metadata))
  }
})

t.test('what is no safetensors file is refused by its content, whatever its name', async (t) => {
  const pickle = Buffer.from('80027d71002e', 'hex')
  for (const path of ['model.safetensors', 'model.pt', 'config.json']) {
    const response = await put('acme/bad/1.0', pickle, { query: `?path=${path}` })
    await problem(t, response, 422, 'INVALID_SAFETENSORS', {
      reason: 'not_safetensors',
      looks_like: 'pickle',
      path,
      offset: 0,
    })
  }
  const cut = await put('acme/bad/1.0', smallFile().subarray(0, -1))
  await problem(t, cut, 422, 'INVALID_SAFETENSORS', { reason: 'truncated' })
  await problem(t, await request('/v1/checkpoints/acme/bad'), 404, 'NOT_FOUND')
})

const publishByHash = (ref: string, body: unknown, as = ADMIN) =>
  request(`/v1/checkpoints/${ref}`, {
    token: as,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

t.test(
  'files that the registry has are published by their hash, without their bytes',
  async (t) => {
    const file = smallFile(7)
    await put('acme/source/1.0', file)
    const sha256 = digestOf(file).toString('hex')
    const body = {
      files: [{ path: 'a/model.safetensors', sha256: sha256.toUpperCase() }],
      metadata: { a: '1' },
    }
    const response = await publishByHash('acme/copy/1.0', body)
    t.equal(response.status, 201)
    t.match(await jsonOf(response), { metadata: { a: '1' }, files: [{ sha256, tensors: 1 }] })
    t.equal((await publishByHash('acme/copy/1.0', body)).status, 200)
    const served = await request('/v1/checkpoints/acme/copy/1.0/files/a/model.safetensors')
    t.strictSame(Buffer.from(await served.arrayBuffer()), Buffer.from(file))
  },
)

t.test('a hash that the caller may not read is as unknown as one that nobody has', async (t) => {
  const file = smallFile(8)
  await put('secret/source/1.0', file)
  const writer = await token('writer', 'acme/*')
  for (const sha256 of [digestOf(file).toString('hex'), ZEROS]) {
    const files = [{ path: 'model.safetensors', sha256 }]
    const response = await publishByHash('acme/stolen/1.0', { files }, writer)
    const body = await problem(t, response, 404, 'NOT_FOUND', { what: 'file' })
    t.notMatch(JSON.stringify(body), sha256)
  }
})

t.test('a JSON body that is none of ours is told every field that is wrong', async (t) => {
  const response = await publishByHash('acme/fields/1.0', { files: [{}], metadata: { a: 1 }, b: 2 })
  await problem(t, response, 400, 'INVALID_REQUEST', { errors: [{ field: /^body/, detail: /./ }] })
  const broken = await request('/v1/checkpoints/acme/fields/1.0', {
    token: ADMIN,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"files": ',
  })
  await problem(t, broken, 400, 'INVALID_REQUEST', { errors: [{ field: 'body' }] })
  const typed = await request('/v1/checkpoints/acme/fields/1.0', {
    token: ADMIN,
    method: 'POST',
    headers: { 'content-type': 'text/yaml' },
    body: 'a: b',
  })
  await problem(t, typed, 415, 'UNSUPPORTED_MEDIA_TYPE')
})

t.test('what is larger than the limit is 413 and says the limit', async (t) => {
  const limited = await startServer(t, { STRONGROOM_MAX_FILE_BYTES: '50' })
  const file = smallFile()
  const announced = await limited.put('acme/large/1.0', file)
  await problem(t, announced, 413, 'TOO_LARGE', { limit: 50 })
  const chunked = await limited.request('/v1/checkpoints/acme/large/1.0', {
    token: ADMIN,
    method: 'PUT',
    body: new Blob([file]).stream(),
    duplex: 'half',
  })
  await problem(t, chunked, 413, 'TOO_LARGE', { limit: 50 })
  const json = await limited.request('/v1/checkpoints/acme/large/1.0', {
    token: ADMIN,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: ' '.repeat(2 ** 20 + 1),
  })
  await problem(t, json, 413, 'TOO_LARGE', { limit: 2 ** 20 })
  await problem(t, await limited.request('/v1/checkpoints/acme/large'), 404, 'NOT_FOUND')
})

t.test(
  'a disk below its floor takes nothing, and says so before it asks for the body',
  async (t) => {
    const full = await startServer(t, { STRONGROOM_DISK_FLOOR_BYTES: '8000TiB' })
    await problem(t, await full.put('acme/full/1.0', smallFile()), 507, 'INSUFFICIENT_STORAGE')
    await problem(t, await full.request('/readyz'), 503, 'NOT_READY', { failing: ['disk'] })
  },
)

t.test('a publish is answered at the address that the world knows the server by', async (t) => {
  const proxied = await startServer(t, { STRONGROOM_PUBLIC_URL: 'https://models.example' })
  const response = await proxied.put('acme/public/1.0+a', smallFile())
  t.equal(
    response.headers.get('location'),
    'https://models.example/v1/checkpoints/acme/public/1.0%2Ba',
  )
  t.not(proxied.url, url)
})
