import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { deface, whereInVault } from '../attacks/hostile.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { sentencepieceModel } from '../sidecars/fixture.ts'
import { type Json, jsonOf, problem, smallFile } from './wire.ts'

const server = await startServer(t, { STRONGROOM_MAX_SIDECAR_BYTES: '2MiB' })
const { request, put } = server

const FOLDER = new URL('../fixtures/transformers/', import.meta.url)
const bytesOf = (name: string): Buffer => readFileSync(new URL(name, FOLDER))

const config = Buffer.from('{"model_type": "llama", "hidden_size": 64}\n')
const readme = Buffer.from('# A model\n\n<script>alert(1)</script>\n')
const SIDECARS: Readonly<Record<string, Uint8Array>> = {
  'config.json': config,
  'README.md': readme,
  'tokenizer.model': sentencepieceModel(),
  'tokenizer/vocab.txt': Buffer.from('[PAD]\nfür\n漢\n'),
  LICENSE: Buffer.from('Copyright (c) Somebody\n'),
}

const hexOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const asJson = (method: string, body: unknown) => ({
  token: ADMIN,
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})
const setPolicy = async (name: string, policy: Json): Promise<void> => {
  const answer = await request(`/v1/checkpoints/${name}/policy`, asJson('PUT', policy))
  if (!answer.ok) throw new Error(await answer.text())
}
const admitSidecars = (name: string): Promise<void> => setPolicy(name, { sidecars: true })

function publish(
  ref: string,
  files: Readonly<Record<string, Uint8Array>>,
  fields: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const body = new FormData()
  for (const [path, bytes] of Object.entries(files))
    body.append('file', new Blob([Buffer.from(bytes)]), path)
  for (const [name, text] of Object.entries(fields)) body.append(name, text)
  return request(`/v1/checkpoints/${ref}`, { token: ADMIN, method: 'POST', body })
}
const byHash = (ref: string, files: Readonly<Record<string, Uint8Array>>): Promise<Response> =>
  request(
    `/v1/checkpoints/${ref}`,
    asJson('POST', {
      files: Object.entries(files).map(([path, bytes]) => ({ path, sha256: hexOf(bytes) })),
    }),
  )

t.test('without a policy a sidecar is refused, and told what would admit it', async (t) => {
  for (const [path, bytes] of Object.entries(SIDECARS)) {
    const answer = await put('acme/strict/1', bytes, { query: `?path=${path}` })
    const { detail } = await problem(t, answer, 422, 'INVALID_SAFETENSORS', { path })
    t.match(detail, /the policy of this checkpoint admits no sidecars/, path)
  }
  const refused = await publish('acme/strict/1', { 'm.safetensors': smallFile(), ...SIDECARS })
  const facts = { path: 'config.json', reason: 'not_safetensors', looks_like: 'json' }
  await problem(t, refused, 422, 'INVALID_SAFETENSORS', facts)
  await problem(t, await request('/v1/checkpoints/acme/strict'), 404, 'NOT_FOUND')
  const weights = await put('acme/strict/2', smallFile(), { query: '?path=config.json' })
  t.equal(weights.status, 201, 'weights may have any name')
  const odd = await put('acme/strict/3', Buffer.from('# A'), { query: '?path=modeling.py' })
  const { detail } = await problem(t, odd, 422, 'INVALID_SAFETENSORS')
  t.notMatch(detail, /sidecar/, 'for what no policy admits there is no such hint')
})

t.test('a version of sidecars alone is one: described, hashed, verified, saved', async (t) => {
  await admitSidecars('acme/alone')
  const taken = await publish('acme/alone/1', SIDECARS)
  t.equal(taken.status, 201)
  t.match(await jsonOf(taken), { tensors: 0, parameters: 0, metadata: {}, warnings: [] })
  for (const [path, bytes] of Object.entries(SIDECARS)) {
    const served = await request(`/v1/checkpoints/acme/alone/1/files/${path}`)
    t.match(Object.fromEntries(served.headers), {
      'content-type': 'application/octet-stream',
      'content-disposition': /^attachment/,
      'x-content-type-options': 'nosniff',
      etag: `"sha256-${hexOf(bytes)}"`,
    })
    t.ok(Buffer.from(await served.arrayBuffer()).equals(bytes), path)
  }
  const part = { token: ADMIN, headers: { range: 'bytes=2-8' } }
  const ranged = await request('/v1/checkpoints/acme/alone/1/files/README.md', part)
  t.equal(await ranged.text(), 'A model')
  const hashes = await jsonOf(await request('/v1/checkpoints/acme/alone/1/hashes?path=README.md'))
  t.match(hashes, { sha256: hexOf(readme), leaves: [hexOf(readme)] })
  const tensors = await jsonOf(await request('/v1/checkpoints/acme/alone/1/tensors'))
  t.same(tensors['items'], [])
  const verify = await request('/v1/checkpoints/acme/alone/1/verify', {
    token: ADMIN,
    method: 'POST',
  })
  t.match(await jsonOf(verify), { valid: true, files: { length: 5 } })
})

t.test(
  'sidecars travel with weights and their index, and say nothing of the metadata',
  async (t) => {
    await setPolicy('acme/whole', { sidecars: true, require_metadata: ['format'] })
    const names = [1, 2, 3, 4].map((n) => `model-0000${n}-of-00004.safetensors`)
    const index = 'model.safetensors.index.json'
    const files = Object.fromEntries([...names, index].map((name) => [name, bytesOf(name)]))
    const all = { ...SIDECARS, ...files }
    const taken = await publish('acme/whole/1', all)
    const description = await jsonOf(taken)
    t.equal(taken.status, 201)
    t.match(description, { metadata: { format: 'pt' } })
    const reversed = Object.fromEntries(Object.entries(all).reverse())
    t.equal((await publish('acme/whole/1', reversed)).status, 200, 'the same again, in any order')
    const more = { ...all, 'more/config.json': Buffer.from('{}') }
    await problem(t, await publish('acme/whole/1', more), 409, 'VERSION_EXISTS')
    await setPolicy('acme/whole', { sidecars: false })
    const again = await publish('acme/whole/1', all)
    t.equal(again.status, 200, 'and whatever the policy says by now')
    t.same(await jsonOf(again), description)
    await problem(t, await publish('acme/whole/2', all), 422, 'INVALID_SAFETENSORS')
    const other = { ...all, 'config.json': Buffer.from('{}') }
    await problem(t, await publish('acme/whole/1', other), 409, 'VERSION_EXISTS')
  },
)

t.test('one bad sidecar, and no version exists', async (t) => {
  await admitSidecars('acme/bad')
  for (const [path, text, facts] of [
    ['config.json', '{"a": 1,}', { looks_like: 'json', offset: 8 }],
    ['config.json', '# no', { looks_like: 'unknown', offset: 0 }],
    ['vocab.txt', 'a\0b', { looks_like: 'unknown', offset: 1 }],
    ['tokenizer.model', 'text', { offset: 4 }],
    ['README.md', "(S'true'\nios\nsystem\n.", { looks_like: 'pickle' }],
    ['README.md', smallFile(), { looks_like: 'unknown' }],
    ['modeling.py', 'import os', {}],
    ['weights.bin', '{}', {}],
    ['a.pkl', 'I1\n.', { looks_like: 'pickle' }],
    ['a.pt', '# text', {}],
    ['README.md.safetensors', '# text', {}],
  ] as const) {
    const files = { 'm.safetensors': smallFile(), [path]: Buffer.from(text) }
    const refused = await publish('acme/bad/1', files)
    t.comment(path)
    await problem(t, refused, 422, 'INVALID_SAFETENSORS', { path, ...facts })
  }
  await problem(t, await request('/v1/checkpoints/acme/bad/1'), 404, 'NOT_FOUND')
})

t.test('a sidecar has a limit of its own, known before the body where its length is', async (t) => {
  await admitSidecars('acme/large')
  const limit = 2 * 1024 * 1024
  const text = (length: number) => Buffer.alloc(length, 'text\n')
  const query = '?path=vocab.txt'
  t.equal((await put('acme/large/1', text(limit), { query })).status, 201)
  const over = await put('acme/large/2', text(limit + 1), { query })
  await problem(t, over, 413, 'TOO_LARGE', { limit })
  const form = await publish('acme/large/2', { 'vocab.txt': text(limit + 1) })
  await problem(t, form, 413, 'TOO_LARGE', { limit })
})

t.test('content that is held goes by names that it could have come under', async (t) => {
  await admitSidecars('acme/held')
  await publish('acme/held/1', { ...SIDECARS, 'm.safetensors': smallFile(7) })
  t.equal((await byHash('acme/held/2', SIDECARS)).status, 201, 'its own names')
  const others = { 'a/config.txt': config, 'b.json': config, 'spiece.model': sentencepieceModel() }
  t.equal((await byHash('acme/held/3', others)).status, 201, 'others that fit')
  for (const [path, bytes, looksLike] of [
    ['config.json', readme, 'unknown'],
    ['a.tiktoken', config, 'json'],
    ['spiece.model', readme, 'unknown'],
    ['README.md', sentencepieceModel(), 'unknown'],
  ] as const) {
    const refused = await byHash('acme/held/4', { [path]: bytes })
    const facts = { path, reason: 'not_safetensors', looks_like: looksLike }
    await problem(t, refused, 422, 'INVALID_SAFETENSORS', facts)
  }
  for (const [path, bytes] of [
    ['model.safetensors', readme],
    ['README.md', smallFile(7)],
    ['m.safetensors.index.json', smallFile(7)],
  ] as const) {
    const refused = await byHash('acme/held/4', { [path]: bytes })
    await problem(t, refused, 400, 'INVALID_REQUEST', { errors: [{ field: 'files' }] })
  }
  const noIndex = await byHash('acme/held/4', { 'm.safetensors.index.json': config })
  await problem(t, noIndex, 400, 'INVALID_REQUEST', {
    errors: [{ field: 'm.safetensors.index.json' }],
  })
  const strict = await byHash('acme/elsewhere/1', { 'README.md': readme })
  const { detail } = await problem(t, strict, 400, 'INVALID_REQUEST')
  t.match(detail, /admits no sidecars/)
})

t.test('text can be an index in one version and a sidecar in another', async (t) => {
  await admitSidecars('acme/both')
  const index = Buffer.from('{"weight_map": {"weight": "m.safetensors"}}')
  const path = 'm.safetensors.index.json'
  const weights = { 'm.safetensors': smallFile(3) }
  t.equal((await publish('acme/both/1', { 'settings.json': index })).status, 201)
  t.equal((await byHash('acme/both/2', { 'other.json': index })).status, 201)
  t.equal((await publish('acme/both/3', { ...weights, [path]: index })).status, 201)
  t.equal((await byHash('acme/both/4', { ...weights, [path]: index })).status, 201)
  const alone = await byHash('acme/both/5', { [path]: index })
  await problem(t, alone, 400, 'INVALID_REQUEST', { errors: [{ field: path }] })
})

t.test('an owner’s policy admits sidecars, and a checkpoint’s own says otherwise', async (t) => {
  await request('/v1/owners/open/policy', asJson('PUT', { sidecars: true }))
  t.equal((await publish('open/a/1', SIDECARS)).status, 201)
  await setPolicy('open/b', { sidecars: false })
  await problem(t, await publish('open/b/1', SIDECARS), 422, 'INVALID_SAFETENSORS')
})

async function underWay(): Promise<void> {
  const staging = join(server.folder, 'data/vault/staging')
  while (readdirSync(staging).length === 0) await pause(5)
}

t.test(
  'a policy that changes while the bytes come is noticed before the version exists',
  async (t) => {
    await admitSidecars('acme/changing')
    async function* body() {
      yield readme.subarray(0, 5)
      // The policy has been looked at by the time there is a file for the bytes.
      await underWay()
      await setPolicy('acme/changing', { sidecars: false })
      yield readme.subarray(5)
    }
    const refused = await request('/v1/checkpoints/acme/changing/1?path=README.md', {
      token: ADMIN,
      method: 'PUT',
      body: body(),
      duplex: 'half',
    })
    await problem(t, refused, 429, 'TOO_MANY_REQUESTS')
    t.ok(refused.headers.has('retry-after'))
    await problem(t, await request('/v1/checkpoints/acme/changing'), 404, 'NOT_FOUND')
  },
)

t.test('a damaged sidecar is not served, and publishing it again repairs it', async (t) => {
  await admitSidecars('acme/damaged')
  const notice = { NOTICE: Buffer.from('Bytes of its own\n') }
  await publish('acme/damaged/1', notice)
  deface(await whereInVault(server, 'acme/damaged/1'), (bytes) => bytes.fill(0x20))
  const read = () => request('/v1/checkpoints/acme/damaged/1/files/NOTICE')
  await problem(t, await read(), 500, 'INTEGRITY_FAILURE', { path: 'NOTICE' })
  t.equal((await publish('acme/damaged/1', notice)).status, 200)
  t.equal(await (await read()).text(), 'Bytes of its own\n')
})
