import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { exchange, problem, smallFile } from './wire.ts'

const server = await startServer(t)
const { url, put, request } = server

const UUID = /^[0-9a-f]{8}-[0-9a-f-]{27}$/

t.test('an address that leads nowhere is 404 to anyone', async (t) => {
  for (const path of ['/', '/v1', '/v1/nowhere', '/v2', '/v1/checkpoints/a/b/c/d']) {
    for (const token of [undefined, ADMIN]) {
      await problem(t, await request(path, { token }), 404, 'NOT_FOUND', { what: 'route' })
    }
  }
})

t.test('a body at an address that leads nowhere is not looked at', async (t) => {
  for (const type of ['application/json', 'application/octet-stream', 'multipart/form-data']) {
    const response = await request('/v1/nowhere', {
      token: ADMIN,
      method: 'PUT',
      headers: { 'content-type': type },
      body: '{"a": ',
    })
    await problem(t, response, 404, 'NOT_FOUND', { what: 'route' })
  }
})

t.test('another method is 405 and says which there are', async (t) => {
  for (const [path, method, allow] of [
    ['/livez', 'POST', ['GET', 'HEAD']],
    ['/v1/tokens', 'PUT', ['GET', 'HEAD', 'POST']],
    ['/v1/tokens/x', 'GET', ['DELETE']],
    ['/v1/audit', 'DELETE', ['GET', 'HEAD']],
    ['/v1/checkpoints', 'PATCH', ['GET', 'HEAD']],
    ['/v1/checkpoints/a/b/1.0/files/x', 'PUT', ['GET', 'HEAD']],
    ['/v1/checkpoints/a/b/1.0/verify', 'GET', ['POST']],
  ] as const) {
    const response = await request(path, { token: undefined, method })
    t.strictSame(response.headers.get('allow')?.split(', ').sort(), allow, path)
    await problem(t, response, 405, 'METHOD_NOT_ALLOWED')
  }
  const traced = await exchange(
    url,
    'TRACE /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n',
  )
  t.equal(traced.status, 405)
})

/** Requests that no client sends by itself, and what they are answered with. */
const RAW = {
  'a URL that is not well percent-encoded': [400, 'INVALID_REQUEST', 'GET /%zz'],
  'a part of a URL that is too long': [
    414,
    'URI_TOO_LONG',
    `GET /v1/checkpoints/a/b/${'x'.repeat(2000)}`,
  ],
  'a URL that is longer than headers may be': [
    431,
    'REQUEST_HEADER_FIELDS_TOO_LARGE',
    `GET /livez?${'x'.repeat(20_000)}`,
  ],
  'headers that are too large': [
    431,
    'REQUEST_HEADER_FIELDS_TOO_LARGE',
    'GET /livez',
    `x: ${'x'.repeat(20_000)}`,
  ],
  'a method that is none': [400, 'INVALID_REQUEST', 'FETCH /livez'],
  'a header that is none': [400, 'INVALID_REQUEST', 'GET /livez', 'no colon'],
  'a header folded over two lines': [400, 'INVALID_REQUEST', 'GET /livez', 'a: b\r\n c'],
  'two lengths': [400, 'INVALID_REQUEST', 'PUT /x', 'content-length: 1\r\ncontent-length: 2'],
  'a length and a coding': [
    400,
    'INVALID_REQUEST',
    'PUT /x',
    'content-length: 1\r\ntransfer-encoding: chunked',
  ],
  'two hosts': [400, 'INVALID_REQUEST', 'GET /livez', 'host: b'],
  'another expectation than 100-continue': [417, 'EXPECTATION_FAILED', 'GET /livez', 'expect: tea'],
} as const
for (const [title, [status, code, line, header = 'x: y']] of Object.entries(RAW)) {
  t.test(`${title} is a problem like any other`, async (t) => {
    const lines = [`${line} HTTP/1.1`, 'host: a', 'connection: close', header]
    const answer = await exchange(url, `${lines.join('\r\n')}\r\n\r\n`)
    t.equal(answer.status, status)
    t.match(answer.headers['content-type'], /^application\/problem\+json/)
    t.match(answer.headers['x-request-id'], UUID)
    t.equal(answer.headers['content-length'], String(Buffer.byteLength(answer.body)))
    const requestId = answer.headers['x-request-id']
    t.match(JSON.parse(answer.body), { status, code, request_id: requestId, detail: /./ })
    if (code === 'INVALID_REQUEST') t.match(JSON.parse(answer.body), { errors: [{ field: /./ }] })
    t.notMatch(answer.body, /zz|xxx|colon/, 'what was sent is not sent back')
  })
}

t.test('a request that says no host is refused, unless it is of HTTP/1.0', async (t) => {
  const answer = await exchange(url, 'GET /livez HTTP/1.1\r\nconnection: close\r\n\r\n')
  t.match(JSON.parse(answer.body), { status: 400, errors: [{ field: 'headers.host' }] })
  t.equal((await exchange(url, 'GET /livez HTTP/1.0\r\n\r\n')).status, 200)
})

t.test('what is no HTTP at all is a problem too', async (t) => {
  for (const bytes of [
    'hello\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ]) {
    const answer = await exchange(url, bytes)
    t.equal(answer.status, 400)
    t.match(JSON.parse(answer.body), { code: 'INVALID_REQUEST' })
  }
})

t.test('every response carries an id of its own', async (t) => {
  await put('acme/ids/1.0', smallFile())
  const file = '/v1/checkpoints/acme/ids/1.0/files/model.safetensors'
  const ids = new Set<string | null>()
  const admin = { token: ADMIN }
  for (const [path, init] of [
    ['/livez', {}],
    ['/docs', {}],
    ['/docs/static/index.css', {}],
    ['/openapi.json', {}],
    ['/nowhere', {}],
    ['/v1/whoami', {}],
    [file, admin],
    [file, { ...admin, method: 'HEAD' }],
    [file, { ...admin, headers: { range: 'bytes=0-1' } }],
    [file, { ...admin, headers: { 'if-none-match': '*' } }],
    [file, { ...admin, headers: { 'x-request-id': 'chosen-by-the-caller' } }],
  ] as const) {
    const response = await request(path, { token: undefined, ...init })
    t.match(response.headers.get('x-request-id'), UUID, path)
    ids.add(response.headers.get('x-request-id'))
  }
  t.equal(ids.size, 11)
})

t.test('a failure of the server tells nothing of its insides', async (t) => {
  const own = await startServer(t)
  await own.put('acme/broken/1.0', smallFile())
  rmSync(join(own.folder, 'data/vault/staging'), { recursive: true })
  const response = await own.put('acme/broken/1.1', smallFile(2))
  const body = await problem(t, response, 500, 'INTERNAL')
  t.notMatch(JSON.stringify(body), /ENOENT|staging|data|\.ts|at /)
  t.strictSame(Object.keys(body).sort(), [
    'code',
    'detail',
    'request_id',
    'status',
    'title',
    'type',
  ])
  const line = own.log().find(({ msg }) => msg === 'unexpected error')
  t.equal(line?.['request_id'], body['request_id'], 'its id leads to the cause in the log')
})

t.test('nothing of a refused publish stays in the vault', async (t) => {
  const staging = join(server.folder, 'data/vault/staging')
  await problem(t, await put('acme/none/1.0', Buffer.from('PK')), 422, 'INVALID_SAFETENSORS')
  t.strictSame(readdirSync(staging), [])
})
