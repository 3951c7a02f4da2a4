import { createHash } from 'node:crypto'
import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { blobsOf, call, head, ledgerOf, staged } from '../attacks/hostile.ts'
import { tamper } from '../db/fixture.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { jsonOf, problem, smallFile, type Json } from './wire.ts'

const server = await startServer(t)
const { put, request } = server

const send = (method: string, url: string, body: unknown): Promise<Response> =>
  request(url, {
    token: ADMIN,
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

/** Sets the policy of `owner/name`. */
async function set(checkpoint: string, rules: Json): Promise<void> {
  const { status } = await send('PUT', `/v1/checkpoints/${checkpoint}/policy`, rules)
  t.equal(status, 200)
}

/** A file of tensors of the given shapes, whose elements are bytes of that fill. */
const fileOf = (
  shapes: Readonly<Record<string, readonly number[]>>,
  fill = 1,
  dtype = 'U8',
): Uint8Array<ArrayBuffer> =>
  writeSafetensors(
    Object.entries(shapes).map(([name, shape]) => {
      const size = shape.reduce((product, dim) => product * dim, 1)
      return { name, dtype, shape, bytes: new Uint8Array(size).fill(fill) }
    }),
  )

const post = (
  ref: string,
  files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>,
  fields = {},
) => {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, JSON.stringify(value))
  for (const [path, bytes] of Object.entries(files)) form.append('file', new Blob([bytes]), path)
  return request(`/v1/checkpoints/${ref}`, { token: ADMIN, method: 'POST', body: form })
}

t.test('required metadata comes from the files or from the caller', async (t) => {
  await set('acme/required', { require_metadata: ['model'] })
  const refused = await put('acme/required/1.0', smallFile(1))
  const facts = { rule: 'require_metadata', key: 'model' }
  await problem(t, refused, 422, 'METADATA_REFUSED', facts)
  t.equal((await request('/v1/checkpoints/acme/required')).status, 404, 'nothing stays')
  t.same([staged(server), blobsOf(server)], [[], []], 'of its bytes neither')
  t.equal((await put('acme/required/1.0', smallFile(1, { model: 'bert' }))).status, 201)
  t.equal((await put('acme/required/1.1', smallFile(1), { query: '?meta.model=x' })).status, 201)
  const [a, b] = [smallFile(1, { model: 'bert' }), smallFile(2, { model: 'gpt' })]
  const differing = await post('acme/required/1.2', { 'a.safetensors': a, 'b.safetensors': b })
  await problem(t, differing, 422, 'METADATA_REFUSED', facts)
  const agreeing = await post('acme/required/1.2', { a, b: smallFile(3, { model: 'bert' }) })
  t.equal(agreeing.status, 201)
})

t.test('expected metadata is one of the values, and $version the version', async (t) => {
  await set('acme/expected', { expect_metadata: { model: ['bert', 'gpt'], release: '$version' } })
  const table = [
    ['?meta.model=bert', 'release'],
    ['?meta.release=1.0', 'model'],
    ['?meta.model=llama&meta.release=1.0', 'model'],
    ['?meta.model=bert&meta.release=1.1', 'release'],
  ] as const
  for (const [query, key] of table) {
    const facts = { rule: 'expect_metadata', key }
    const refused = await put('acme/expected/1.0', smallFile(), { query })
    await problem(t, refused, 422, 'METADATA_REFUSED', facts)
  }
  const query = '?meta.model=gpt&meta.release=1.0'
  t.equal((await put('acme/expected/1.0', smallFile(), { query })).status, 201)
})

t.test('a refusal by policy is entered, with rule, key and tensor', async (t) => {
  await set('acme/entered', { require_metadata: ['model'], same_tensors_as: 'latest' })
  await put('acme/entered/1.0', smallFile(1, { model: 'bert' }))
  await put('acme/entered/1.1', smallFile(1))
  await put('acme/entered/1.2', fileOf({ other: [4] }), { query: '?meta.model=bert' })
  const refusal = async (version: string) => {
    const subject = encodeURIComponent(`acme/entered@${version}`)
    const { items } = await jsonOf(await request(`/v1/audit?action=refuse&subject=${subject}`))
    return items
  }
  t.match(await refusal('1.1'), [
    { outcome: 'METADATA_REFUSED', details: { rule: 'require_metadata', key: 'model' } },
  ])
  t.match(await refusal('1.2'), [
    { outcome: 'METADATA_REFUSED', details: { rule: 'same_tensors_as', tensor: 'other' } },
  ])
})

t.test('too much is refused before its body, while it comes, and in all its parts', async (t) => {
  const file = smallFile(1)
  const limit = file.length
  await set('acme/sized', { max_size: limit })
  const facts = { limit, rule: 'max_size' }
  const larger = fileOf({ weight: [5] })

  const caller = call(server)
  const line = 'PUT /v1/checkpoints/acme/sized/1.0'
  await caller.send(head(line, `Content-Length: ${limit + 1}`, 'Expect: 100-continue'))
  const answer = await caller.until('max_size')
  t.match(answer, /^HTTP\/1.1 413 /, 'no byte of it was asked for')
  caller.hangUp()

  const endless = call(server)
  const start = Buffer.from(fileOf({ weight: [1000] })).subarray(0, limit + 1)
  const chunk = [`${start.length.toString(16)}\r\n`, start, '\r\n']
  await endless.send(head(line, 'Transfer-Encoding: chunked'), ...chunk)
  t.match(await endless.until('max_size'), /^HTTP\/1.1 413 /, 'nor was its end waited for')
  endless.hangUp()

  await problem(t, await put('acme/sized/1.0', larger), 413, 'TOO_LARGE', facts)
  const streamed = await request('/v1/checkpoints/acme/sized/1.0', {
    token: ADMIN,
    method: 'PUT',
    body: new Blob([larger]).stream(),
    duplex: 'half',
  })
  await problem(t, streamed, 413, 'TOO_LARGE', facts)
  const inParts = await post('acme/sized/1.0', { a: file, b: smallFile(2) })
  await problem(t, inParts, 413, 'TOO_LARGE', facts)
  t.same(staged(server), [])

  t.equal((await put('acme/sized/1.0', file)).status, 201)
  const sha256 = createHash('sha256').update(file).digest('hex')
  const files = ['a', 'b'].map((path) => ({ path, sha256 }))
  const held = await send('POST', '/v1/checkpoints/acme/sized/1.1', { files })
  await problem(t, held, 413, 'TOO_LARGE', facts)
  const one = await send('POST', '/v1/checkpoints/acme/sized/1.1', { files: files.slice(1) })
  t.equal(one.status, 201)
})

t.test('the first version is free, later ones have its tensors', async (t) => {
  await set('acme/same', { same_tensors_as: 'latest' })
  const first = fileOf({ a: [2, 3], b: [4] })
  t.equal((await put('acme/same/1', first)).status, 201)
  const u8 = (...shape: number[]) => ({ dtype: 'U8', shape })
  const table = [
    [fileOf({ a: [2, 3] }), 'b', u8(4), null],
    [fileOf({ a: [2, 3], b: [4], c: [1] }), 'c', null, u8(1)],
    [fileOf({ a: [3, 2], b: [4] }), 'a', u8(2, 3), u8(3, 2)],
    [fileOf({ a: [2, 3], b: [4] }, 1, 'I8'), 'a', u8(2, 3), { dtype: 'I8', shape: [2, 3] }],
  ] as const
  for (const [file, tensor, expected, actual] of table) {
    const facts = { rule: 'same_tensors_as', tensor, expected, actual }
    await problem(t, await put('acme/same/2', file), 422, 'METADATA_REFUSED', facts)
  }
  t.equal((await put('acme/same/2', fileOf({ a: [2, 3], b: [4] }, 9))).status, 201)
  const shards = { one: fileOf({ b: [4] }, 8), two: fileOf({ a: [2, 3] }, 8) }
  t.equal((await post('acme/same/3', shards)).status, 201)
  t.equal((await put('acme/same/4', fileOf({ a: [2, 3], b: [4] }, 7))).status, 201)
})

t.test('the tensors of another checkpoint, until its version is withdrawn', async (t) => {
  await put('acme/model/1.0', fileOf({ w: [3] }))
  await set('acme/tuned', { same_tensors_as: 'acme/model@1.0' })
  const facts = { rule: 'same_tensors_as', tensor: 'v' }
  const refused = await put('acme/tuned/1.0', fileOf({ v: [3] }))
  await problem(t, refused, 422, 'METADATA_REFUSED', facts)
  t.equal((await put('acme/tuned/1.0', fileOf({ w: [3] }, 5))).status, 201)
  await request('/v1/checkpoints/acme/model/1.0', { token: ADMIN, method: 'DELETE' })
  const late = await put('acme/tuned/1.1', fileOf({ w: [3] }, 6))
  await problem(t, late, 422, 'METADATA_REFUSED', { rule: 'same_tensors_as' })
})

t.test('the same publish again is not judged by a policy that came later', async (t) => {
  const file = smallFile(1)
  await put('acme/earlier/1.0', file)
  await put('acme/other/1.0', fileOf({ other: [1] }))
  await set('acme/earlier', {
    require_metadata: ['model'],
    expect_metadata: { model: 'bert' },
    max_size: 1,
    finite: true,
    same_tensors_as: 'acme/other@1.0',
  })
  t.equal((await put('acme/earlier/1.0', file)).status, 200)
  await problem(t, await put('acme/earlier/1.0', smallFile(2)), 409, 'VERSION_EXISTS')
  await problem(t, await put('acme/earlier/1.1', file), 413, 'TOO_LARGE')
})

t.test('an owner’s policy governs a checkpoint that is yet to be', async (t) => {
  await send('PUT', '/v1/owners/governed/policy', { require_metadata: ['model'] })
  const refused = await put('Governed/first/1.0', smallFile(1))
  await problem(t, refused, 422, 'METADATA_REFUSED', { rule: 'require_metadata' })
  await set('governed/free', { require_metadata: [] })
  t.equal((await put('governed/free/1.0', smallFile(1))).status, 201)
})

t.test('no NaN and no infinity, in the first file and tensor that has any', async (t) => {
  await set('acme/finite', { finite: true })
  const f32 = (...numbers: readonly number[]) => new Uint8Array(Float32Array.from(numbers).buffer)
  const bf16 = (...codes: readonly number[]) => new Uint8Array(Uint16Array.from(codes).buffer)
  const tensor = (name: string, dtype: string, shape: readonly number[], bytes: Uint8Array) => ({
    name,
    dtype,
    shape,
    bytes,
  })
  const sound = tensor('sound', 'F32', [3], f32(1, -0, 3e38))
  for (const bad of [
    tensor('bad', 'F32', [2], f32(1, NaN)),
    tensor('bad', 'F32', [2], f32(Infinity, 1)),
    tensor('bad', 'F32', [1], f32(-Infinity)),
    tensor('bad', 'BF16', [3], bf16(0, 0x7f80, 1)),
    tensor('bad', 'F16', [1], bf16(0xfe00)),
    tensor('bad', 'F8_E5M2', [1], Uint8Array.of(0x7c)),
    tensor('bad', 'C64', [1], f32(0, 0)),
  ]) {
    const file = writeSafetensors([sound, bad])
    const refused = await post('acme/finite/1.0', { a: writeSafetensors([sound]), b: file })
    const facts = { rule: 'finite', tensor: 'bad', path: 'b' }
    await problem(t, refused, 422, 'METADATA_REFUSED', facts)
  }
  const integers = tensor('codes', 'U8', [2], Uint8Array.of(0xff, 0x7f))
  const taken = await put('acme/finite/1.0', writeSafetensors([sound, integers]))
  t.equal(taken.status, 201)
})

t.test(
  'of bytes that were never measured finite believes nothing until they come again',
  async (t) => {
    const bytes = new Uint8Array(Float32Array.of(1, 2, 3).buffer)
    const file = writeSafetensors([{ name: 'old', dtype: 'F32', shape: [3], bytes }])
    await put('acme/old/1.0', file)
    const sha256 = createHash('sha256').update(file).digest('hex')
    const blob = `(SELECT id FROM blobs WHERE sha256 = unhex('${sha256}'))`
    // As a release without statistics left them.
    tamper(ledgerOf(server), `UPDATE tensors SET statistics = NULL WHERE blob = ${blob}`)
    tamper(ledgerOf(server), `UPDATE blobs SET has_statistics = 0 WHERE id = ${blob}`)
    await set('acme/old', { finite: true })
    const files = [{ path: 'model.safetensors', sha256 }]
    const held = await send('POST', '/v1/checkpoints/acme/old/1.1', { files })
    const facts = { rule: 'finite', tensor: 'old', detail: /publish its bytes again/ }
    await problem(t, held, 422, 'METADATA_REFUSED', facts)
    t.equal((await put('acme/old/1.1', file)).status, 201)
    t.equal((await send('POST', '/v1/checkpoints/acme/old/1.2', { files })).status, 201)
  },
)

t.test("a writer can't take a protected tag's name for a version", async (t) => {
  const writer = await server.token('writer', 'acme/*')
  await set('acme/names', { protected_tags: ['production', 'prod-*', '*'] })
  for (const name of ['production', 'prod-9']) {
    const taken = await put(`acme/names/${name}`, smallFile(1), { token: writer })
    await problem(t, taken, 403, 'TAG_PROTECTED', { current: null })
  }
  t.equal((await put('acme/names/1.0', smallFile(1), { token: writer })).status, 201)
  const moved = await send('PUT', '/v1/checkpoints/acme/names/tags/production', { ref: '1.0' })
  t.equal(moved.status, 201, 'the name is still the tag’s')
  const late = await put('acme/names/production', smallFile(2), { token: writer })
  await problem(t, late, 409, 'VERSION_EXISTS')
  t.equal((await put('acme/names/prod-9', smallFile(2))).status, 201, 'an admin knows best')
})
