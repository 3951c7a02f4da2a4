import { createHash } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN, startServer, type TestServer } from '../helpers/server.ts'
import { exchange, jsonOf, problem, smallFile } from './wire.ts'

const server = await startServer(t)
const { url, put, request } = server

const file = writeSafetensors([
  { name: 'a', dtype: 'U8', shape: [3000], bytes: Uint8Array.from({ length: 3000 }, (_, i) => i) },
])
const digest = createHash('sha256').update(file).digest()
const sha256 = digest.toString('hex')
const etag = `"sha256-${sha256}"`
const version = await jsonOf(await put('acme/bytes/1.0', file))
const revision = String(version['revision'])
const created = new Date(String(version['created_at']))

const PATH = 'model.safetensors'
const pathOf = (ref: string) => `/v1/checkpoints/acme/bytes/${ref}/files/${PATH}`

const get = (
  headers: Readonly<Record<string, string>> = {},
  { ref = '1.0', method = 'GET', query = '' } = {},
) => request(pathOf(ref) + query, { token: ADMIN, method, headers })

const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer())
const part = (begin: number, end: number) => Buffer.from(file.subarray(begin, end))

t.test('a download is the bytes that were published, and says what they are', async (t) => {
  const response = await get()
  t.equal(response.status, 200)
  t.match(Object.fromEntries(response.headers), {
    'accept-ranges': 'bytes',
    etag,
    'content-length': String(file.length),
    'content-type': 'application/octet-stream',
    'repr-digest': `sha-256=:${digest.toString('base64')}:`,
    'cache-control': 'private, max-age=31536000, immutable',
    'last-modified': created.toUTCString(),
    'x-content-type-options': 'nosniff',
    'content-disposition': 'attachment; filename="model.safetensors"',
    'x-checkpoint-revision': revision,
    'x-checkpoint-version': '1.0',
    'x-request-id': /./,
  })
  t.equal(response.headers.get('content-encoding'), null)
  t.strictSame(await bytesOf(response), Buffer.from(file))
})

t.test('no content coding is applied, whatever the caller would take', async (t) => {
  const response = await get({ 'accept-encoding': 'gzip, br, zstd' })
  t.equal(response.headers.get('content-encoding'), null)
  t.equal(response.headers.get('content-length'), String(file.length))
})

t.test('only what never changes may be kept by a cache, and only that has a date', async (t) => {
  for (const ref of ['1.0', revision]) {
    const { headers } = await get({}, { ref })
    t.equal(headers.get('cache-control'), 'private, max-age=31536000, immutable', ref)
    t.equal(headers.get('last-modified'), created.toUTCString(), ref)
  }
  for (const ref of ['latest', revision.slice(0, 12), revision.slice(0, 40)]) {
    const { headers, status } = await get({}, { ref })
    t.equal(status, 200)
    t.equal(headers.get('cache-control'), 'no-cache', ref)
    t.equal(headers.get('last-modified'), null, ref)
    t.equal(headers.get('x-checkpoint-revision'), revision)
  }
  await problem(t, await get({}, { ref: revision.slice(0, 11) }), 404, 'NOT_FOUND')
})

t.test('HEAD says what GET would, and sends nothing', async (t) => {
  const head = await get({ range: 'bytes=0-9' }, { method: 'HEAD' })
  const ofTheMessage = ['date', 'x-request-id', 'connection', 'keep-alive']
  const headers = (response: Response) =>
    [...response.headers].filter(([name]) => !ofTheMessage.includes(name))
  t.equal(head.status, 200)
  t.strictSame(headers(head), headers(await get()))
  t.equal((await bytesOf(head)).length, 0)
})

t.test('one range is 206 with its bytes', async (t) => {
  const size = file.length
  for (const [range, begin, end] of [
    ['bytes=0-0', 0, 1],
    ['bytes=8-99', 8, 100],
    ['bytes=100-', 100, size],
    ['bytes=-10', size - 10, size],
    ['bytes=100-999999', 100, size],
    ['bytes=-999999', 0, size],
    ['BYTES=5-6', 5, 7],
  ] as const) {
    const response = await get({ range })
    t.equal(response.status, 206, range)
    t.equal(response.headers.get('content-range'), `bytes ${begin}-${end - 1}/${size}`)
    t.equal(response.headers.get('content-length'), String(end - begin))
    t.equal(response.headers.get('repr-digest'), `sha-256=:${digest.toString('base64')}:`)
    t.equal(response.headers.get('content-digest'), null)
    t.strictSame(await bytesOf(response), part(begin, end))
  }
})

t.test('a range that is none is ignored', async (t) => {
  for (const range of ['bytes=9-1', 'lines=0-1', 'bytes=', 'bytes=a-b', 'bytes 0-1']) {
    const response = await get({ range })
    t.equal(response.status, 200, range)
    t.equal((await bytesOf(response)).length, file.length)
  }
})

t.test('a range beyond the end is 416 and says how long the file is', async (t) => {
  const response = await get({ range: `bytes=${file.length}-` })
  t.equal(response.headers.get('content-range'), `bytes */${file.length}`)
  t.equal(response.headers.get('x-checkpoint-revision'), revision)
  for (const name of ['repr-digest', 'content-disposition', 'etag']) {
    t.equal(response.headers.get(name), null, `${name} would be taken for the problem’s`)
  }
  await problem(t, response, 416, 'RANGE_NOT_SATISFIABLE')
})

t.test('several ranges are parts of one body', async (t) => {
  const response = await get({ range: 'bytes=0-3,10-19,-5' })
  t.equal(response.status, 206)
  const type = response.headers.get('content-type') ?? ''
  t.match(type, /^multipart\/byteranges; ?boundary=/)
  t.equal(response.headers.get('content-range'), null)
  const body = await bytesOf(response)
  t.equal(response.headers.get('content-length'), String(body.length))
  const boundary = type.replace(/.*boundary="?([^"]*)"?/, '$1')
  const parts = body.toString('latin1').split(`--${boundary}`).slice(1, -1)
  const size = file.length
  t.strictSame(
    parts.map((text) => text.split(/\r\n\r\n(.*)\r\n$/s)[1]),
    [part(0, 4), part(10, 20), part(size - 5, size)].map((bytes) => bytes.toString('latin1')),
  )
  t.match(parts[1], new RegExp(`content-range: bytes 10-19/${size}`, 'i'))
  t.match(parts[1], /content-type: application\/octet-stream/i)
})

t.test('more than 16 ranges, or ones that overlap, are answered with the whole', async (t) => {
  const ranges = (count: number) =>
    `bytes=${Array.from({ length: count }, (_, i) => `${i * 10}-${i * 10 + 1}`).join(',')}`
  t.equal((await get({ range: ranges(16) })).status, 206)
  for (const range of [ranges(17), 'bytes=0-9,5-14']) {
    const response = await get({ range })
    t.equal(response.status, 200)
    t.equal((await bytesOf(response)).length, file.length)
  }
})

t.test('what the caller has already is 304, with what identifies it', async (t) => {
  for (const header of [etag, `W/${etag}`, '*', `"other", ${etag}`]) {
    const response = await get({ 'if-none-match': header })
    t.equal(response.status, 304, header)
    t.equal(response.headers.get('etag'), etag)
    t.match(response.headers.get('cache-control'), /immutable/)
    t.equal(response.headers.get('x-checkpoint-revision'), revision)
    t.equal((await bytesOf(response)).length, 0)
  }
  t.equal((await get({ 'if-none-match': '"other"' })).status, 200)
  t.equal((await get({ 'if-none-match': etag }, { method: 'HEAD' })).status, 304)
  t.equal((await get({ 'if-modified-since': created.toUTCString() })).status, 304)
  const both = { 'if-none-match': '"other"', 'if-modified-since': created.toUTCString() }
  t.equal((await get(both)).status, 200, 'the tag decides')
})

t.test('an expectation that does not hold is 412 before any byte', async (t) => {
  const earlier = new Date(created.getTime() - 60_000).toUTCString()
  for (const headers of [
    { 'if-match': '"other"' },
    { 'if-match': `W/${etag}` },
    { 'if-unmodified-since': earlier },
    { 'if-match': '"other"', range: 'bytes=0-1' },
  ] as Record<string, string>[]) {
    await problem(t, await get(headers), 412, 'PRECONDITION_FAILED')
    t.equal((await get(headers, { method: 'HEAD' })).status, 412)
  }
  const query = `?sha256=${'0'.repeat(64)}`
  await problem(t, await get({}, { query }), 412, 'PRECONDITION_FAILED')
  await problem(t, await get({}, { query: '?sha256=abc' }), 400, 'INVALID_REQUEST')
  for (const header of [etag, '*', `"other", ${etag}`]) {
    t.equal((await get({ 'if-match': header })).status, 200)
  }
  t.equal((await get({}, { query: `?sha256=${sha256.toUpperCase()}` })).status, 200)
})

t.test('a part is sent only of the file that the caller has the rest of', async (t) => {
  const range = 'bytes=0-9'
  for (const [validator, status] of [
    [etag, 206],
    [created.toUTCString(), 206],
    ['"other"', 200],
    [`W/${etag}`, 200],
    [new Date(created.getTime() + 5000).toUTCString(), 200],
  ] as const) {
    t.equal((await get({ range, 'if-range': validator })).status, status, validator)
  }
})

t.test('through a tag no date is a condition: a rollback would look unmodified', async (t) => {
  const latest = { ref: 'latest' }
  const later = new Date(created.getTime() + 86_400_000).toUTCString()
  const earlier = new Date(created.getTime() - 86_400_000).toUTCString()
  t.equal((await get({ 'if-modified-since': later }, latest)).status, 200)
  t.equal((await get({ 'if-unmodified-since': earlier }, latest)).status, 200)
  const dated = { range: 'bytes=0-9', 'if-range': created.toUTCString() }
  t.equal((await get(dated, latest)).status, 200)
  t.equal((await get({ 'if-none-match': etag }, latest)).status, 304)
  t.equal((await get({ range: 'bytes=0-9', 'if-range': etag }, latest)).status, 206)
})

t.test('what is not there is named: checkpoint, version or file', async (t) => {
  for (const [path, what] of [
    [`acme/none/1.0/files/${PATH}`, 'checkpoint'],
    [`acme/bytes/9.9/files/${PATH}`, 'version'],
    ['acme/bytes/1.0/files/other.safetensors', 'file'],
  ] as const) {
    await problem(t, await request(`/v1/checkpoints/${path}`), 404, 'NOT_FOUND', { what })
  }
})

t.test('no path leads out of a version', async (t) => {
  for (const path of ['../1.0', '%2e%2e/secret', 'a//b', '/etc/passwd', '..%5Cb']) {
    const line = `GET /v1/checkpoints/acme/bytes/1.0/files/${path} HTTP/1.1`
    const lines = [line, 'host: a', `authorization: Bearer ${ADMIN}`, 'connection: close']
    const { status, body } = await exchange(url, `${lines.join('\r\n')}\r\n\r\n`)
    t.equal(status, 400, path)
    t.match(JSON.parse(body), { code: 'INVALID_NAME', what: 'path' })
  }
})

t.test('a file is saved under its own name, in any script', async (t) => {
  await put('acme/named/1.0', smallFile(), { query: '?path=a/модель 1.safetensors' })
  const path = `/v1/checkpoints/acme/named/1.0/files/a/${encodeURIComponent('модель 1.safetensors')}`
  t.match(
    (await request(path)).headers.get('content-disposition'),
    /^attachment; filename="[\x20-\x7e]+"; filename\*=UTF-8''%D0%BC[\w%]+%201\.safetensors$/,
  )
})

/** The one blob of a server that holds one file. */
function blobOf({ folder }: TestServer): string {
  const blobs = join(folder, 'data/vault/blobs')
  const [name = ''] = readdirSync(blobs, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /\/[0-9a-f]{32}$/.test(path),
  )
  return join(blobs, name)
}

t.test(
  'HEAD never opens the blob; GET of a lost one is refused, and it stays refused',
  async (t) => {
    const own = await startServer(t)
    await own.put('acme/lost/1.0', smallFile())
    rmSync(blobOf(own))
    const path = `/v1/checkpoints/acme/lost/1.0/files/${PATH}`
    t.equal((await own.request(path, { token: ADMIN, method: 'HEAD' })).status, 200)
    for (const headers of [{}, { range: 'bytes=0-1' }]) {
      const response = await own.request(path, { token: ADMIN, headers })
      t.equal(response.headers.get('repr-digest'), null)
      await problem(t, response, 500, 'INTEGRITY_FAILURE', { path: PATH })
    }
    const verdict = await own.request('/v1/checkpoints/acme/lost/1.0/verify', {
      token: ADMIN,
      method: 'POST',
    })
    t.match(await jsonOf(verdict), { valid: false, files: [{ path: PATH, valid: false }] })
  },
)
