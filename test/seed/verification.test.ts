import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { tamper } from '../db/fixture.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { type Json, jsonOf, problem } from '../routes/wire.ts'
import { download, fileOf, hashOf, pathOf, values } from './state-dict.ts'

const server = await startServer(t)
const { put, request } = server

const WRONG = '0'.repeat(64)

/** Publishes a file of its own length, by which its blob is found in the vault. */
async function saved(
  ref: string,
  count: number,
  metadata?: Readonly<Record<string, string>>,
): Promise<Uint8Array<ArrayBuffer>> {
  const file = fileOf({ weight: values(count) }, metadata)
  await put(ref, file)
  return file
}

const verify = async (ref: string) =>
  jsonOf(await request(`/v1/checkpoints/${ref}/verify`, { token: ADMIN, method: 'POST' }))

/** Flips one bit of the blob of that length, as a failing disk would. */
function flipBit({ length }: Uint8Array): void {
  const blobs = join(server.folder, 'data/vault/blobs')
  const names = readdirSync(blobs, { recursive: true, encoding: 'utf8' })
  const [path = ''] = names
    .filter((name) => /\/[0-9a-f]{32}$/.test(name))
    .map((name) => join(blobs, name))
    .filter((path) => statSync(path).size === length)
  const bytes = readFileSync(path)
  bytes.writeUInt8(bytes.readUInt8(500) ^ 1, 500)
  chmodSync(path, 0o644)
  writeFileSync(path, bytes)
}

t.test('load with a wrong hash fails', async (t) => {
  const ref = 'seed/wrong-hash/1.0'
  await saved(ref, 201)
  const queried = await request(`${pathOf(ref)}?sha256=${WRONG}`)
  await problem(t, queried, 412, 'PRECONDITION_FAILED')
  const headers = { 'if-match': `"sha256-${WRONG}"` }
  const matched = await request(pathOf(ref), { token: ADMIN, headers })
  await problem(t, matched, 412, 'PRECONDITION_FAILED')
})

t.test('load with the correct hash succeeds', async (t) => {
  const ref = 'seed/correct-hash/1.0'
  const file = await saved(ref, 202)
  const response = await request(`${pathOf(ref)}?sha256=${hashOf(file)}`)
  t.ok(Buffer.from(await response.arrayBuffer()).equals(file))
})

t.test('load without a hash on record fails', async (t) => {
  const ref = 'seed/no-hash/1.0'
  const { length } = await saved(ref, 203)
  const ledger = join(server.folder, 'data/ledger')
  const ids = `SELECT id FROM blobs WHERE size = ${length}`
  tamper(ledger, `DELETE FROM leaf_pages WHERE blob IN (${ids})`)
  const response = await request(pathOf(ref))
  await problem(t, response, 500, 'INTEGRITY_FAILURE', { path: 'model.safetensors' })
})

t.test('verification can not be switched off', async (t) => {
  const ref = 'seed/no-switch/1.0'
  flipBit(await saved(ref, 204))
  const off = '?verify=false&verify_hash=0&skip_verification=1&unsafe=true'
  const headers = { 'x-verify': 'off', 'x-skip-verification': '1', 'cache-control': 'no-cache' }
  const response = await request(pathOf(ref) + off, { token: ADMIN, headers })
  await problem(t, response, 500, 'INTEGRITY_FAILURE')
})

t.test('the integrity of what is whole is verified', async (t) => {
  const ref = 'seed/whole/1.0'
  const file = await saved(ref, 205)
  t.strictSame(await verify(ref), {
    valid: true,
    files: [{ path: 'model.safetensors', valid: true, sha256: hashOf(file), size: file.length }],
  })
})

t.test('the integrity of what was changed is not', async (t) => {
  const ref = 'seed/changed/1.0'
  flipBit(await saved(ref, 206))
  t.match(await verify(ref), { valid: false, files: [{ valid: false, chunk: 0 }] })
  t.match(await verify(ref), { valid: false }, 'nor the next time')
})

t.test('the hash of a file', async (t) => {
  const ref = 'seed/hash/1.0'
  const file = await saved(ref, 207)
  const hashes = await jsonOf(await request(`/v1/checkpoints/${ref}/hashes`))
  t.match(hashes, { sha256: hashOf(file), size: file.length })
  const { files } = await jsonOf(await request(`/v1/checkpoints/${ref}`))
  t.equal((files as readonly Json[])[0]?.['sha256'], hashOf(file))
})

t.test('the hash of a missing file', async (t) => {
  const ref = 'seed/no-file/1.0'
  await saved(ref, 208)
  const response = await request(`/v1/checkpoints/${ref}/hashes?path=missing.safetensors`)
  await problem(t, response, 404, 'NOT_FOUND', { what: 'file' })
})

t.test('load of a missing checkpoint', async (t) => {
  const response = await request(pathOf('seed/missing/1.0'))
  await problem(t, response, 404, 'NOT_FOUND', { what: 'checkpoint' })
})

t.test('save of something with the wrong extension or content', async (t) => {
  const pickle = Buffer.from('80027d7100580100000061710158010000006271022e', 'hex')
  for (const path of ['model.pt', 'model.pth', 'model.bin', 'model.pkl', 'model.safetensors']) {
    const response = await put('seed/wrong/1.0', pickle, { query: `?path=${path}` })
    const facts = { reason: 'not_safetensors', looks_like: 'pickle', path }
    await problem(t, response, 422, 'INVALID_SAFETENSORS', facts)
  }
  await problem(t, await request('/v1/checkpoints/seed/wrong'), 404, 'NOT_FOUND')
})

t.test('a corrupted checkpoint is not saved', async (t) => {
  const file = fileOf({ weight: values(209) })
  const headerBytes = Buffer.from(file).readUInt32LE()
  const garbled = Buffer.from(file).fill(0xff, 8, 8 + headerBytes)
  for (const [bytes, reason] of [
    [file.subarray(0, 5), /not_safetensors|header_truncated/],
    [file.subarray(0, 8 + headerBytes - 1), 'header_truncated'],
    [file.subarray(0, -1), 'truncated'],
    [Buffer.concat([file, Buffer.from([0])]), 'trailing_bytes'],
    [garbled, /not_safetensors|header_not_utf8|header_not_json/],
  ] as const) {
    const response = await put('seed/corrupt/1.0', bytes)
    await problem(t, response, 422, 'INVALID_SAFETENSORS', { reason })
  }
})

t.test('a checkpoint corrupted since it was saved is not loaded', async (t) => {
  const ref = 'seed/corrupted/1.0'
  const file = await saved(ref, 210)
  flipBit(file)
  await problem(t, await request(pathOf(ref)), 500, 'INTEGRITY_FAILURE', { chunk: 0 })
  t.equal((await request(pathOf(ref))).status, 500, 'it is quarantined')
  t.equal((await put('seed/repair/1.0', file)).status, 201)
  t.ok((await download(server, ref)).equals(file), 'until the same bytes come again')
})

t.test('the metadata of a missing file', async (t) => {
  const ref = 'seed/no-metadata/1.0'
  await saved(ref, 211)
  for (const missing of ['seed/missing/1.0', 'seed/no-metadata/9.9']) {
    await problem(t, await request(`/v1/checkpoints/${missing}`), 404, 'NOT_FOUND')
  }
})

t.test('the metadata of a corrupted file', async (t) => {
  const ref = 'seed/kept-metadata/1.0'
  flipBit(await saved(ref, 212, { epoch: '3' }))
  const description = await jsonOf(await request(`/v1/checkpoints/${ref}`))
  t.match(description, { metadata: { epoch: '3' } }, 'is the ledger’s, from when it was whole')
  const headers = { range: 'bytes=0-99' }
  const file = await request(pathOf(ref), { token: ADMIN, headers })
  await problem(t, file, 500, 'INTEGRITY_FAILURE')
})
