import t from 'tap'
import { newTokenSecret, tokenDigest } from '../../src/access/tokens.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { exchange, jsonOf, problem, smallFile } from './wire.ts'

const server = await startServer(t)
const { url, put, request, token, log, strongroom } = server
await put('acme/bert/1.0', smallFile())
await put('other/gpt/1.0', smallFile())

const REALM = 'Bearer realm="strongroom"'
const FILE = '/files/model.safetensors'

t.test('only what needs no secret is open', async (t) => {
  for (const path of ['/livez', '/readyz', '/health', '/openapi.json', '/docs']) {
    t.equal((await request(path, { token: undefined })).status, 200, path)
  }
  for (const path of ['/metrics', '/v1/whoami', '/v1/checkpoints', '/v1/tokens', '/v1/audit']) {
    const response = await request(path, { token: undefined })
    t.equal(response.headers.get('www-authenticate'), REALM, path)
    await problem(t, response, 401, 'UNAUTHENTICATED')
  }
})

t.test('no credentials and bad ones are told apart, bad ones not from each other', async (t) => {
  const send = (authorization: string) =>
    request('/v1/whoami', { token: undefined, headers: { authorization } })
  for (const scheme of ['Basic YTpi', 'Digest a=b']) {
    const response = await send(scheme)
    t.equal(response.headers.get('www-authenticate'), REALM)
    await problem(t, response, 401, 'UNAUTHENTICATED')
  }
  const details = new Set<unknown>()
  for (const bad of ['Bearer', 'Bearer a b', 'Bearer sr_unknown', `Bearer ${ADMIN}x`]) {
    const response = await send(bad)
    t.equal(response.headers.get('www-authenticate'), `${REALM}, error="invalid_token"`)
    details.add((await problem(t, response, 401, 'UNAUTHENTICATED'))['detail'])
  }
  t.equal(details.size, 1)
})

t.test('a token is taken in the Hub’s spelling and with the scheme in any case', async (t) => {
  const reader = await token('reader')
  for (const authorization of [`Bearer ${reader}`, `bearer ${reader}`, `BEARER hf_${reader}`]) {
    const response = await request('/v1/whoami', { token: undefined, headers: { authorization } })
    t.match(await jsonOf(response), { role: 'reader' }, authorization)
  }
})

t.test('a token in a query string is no token', async (t) => {
  for (const name of ['token', 'access_token', 'authorization']) {
    const response = await request(`/v1/whoami?${name}=${ADMIN}`, { token: undefined })
    await problem(t, response, 401, 'UNAUTHENTICATED')
  }
})

t.test('two Authorization headers are refused, whichever of them is good', async (t) => {
  const good = `authorization: Bearer ${ADMIN}`
  for (const headers of [
    [good, 'Authorization: Bearer sr_bad'],
    [good, good],
  ]) {
    const lines = ['GET /v1/whoami HTTP/1.1', 'host: a', 'connection: close', ...headers]
    const answer = await exchange(url, `${lines.join('\r\n')}\r\n\r\n`)
    t.equal(answer.status, 400)
    t.match(JSON.parse(answer.body), {
      code: 'INVALID_REQUEST',
      errors: [{ field: 'headers.authorization' }],
    })
  }
})

t.test('an expired and a revoked token open nothing', async (t) => {
  const expired = newTokenSecret()
  await strongroom.ledger.createToken(
    {
      id: 'expired',
      sha256: tokenDigest(expired),
      name: 'expired',
      role: 'admin',
      scope: '*',
      createdBy: undefined,
      expiresAt: new Date(Date.now() - 1).toISOString(),
    },
    { action: 'token.create', outcome: 'ok' },
  )
  const created = await request('/v1/tokens', {
    token: ADMIN,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'short-lived', role: 'reader', scope: '*' }),
  })
  const { id, token: secret } = await jsonOf(created)
  const revoked = String(secret)
  t.equal((await request('/v1/whoami', { token: revoked })).status, 200)
  await request(`/v1/tokens/${String(id)}`, { token: ADMIN, method: 'DELETE' })
  for (const dead of [expired, revoked]) {
    const response = await request('/v1/whoami', { token: dead })
    t.equal(response.headers.get('www-authenticate'), `${REALM}, error="invalid_token"`)
    await problem(t, response, 401, 'UNAUTHENTICATED')
  }
})

t.test('each role reaches what it is for, and nothing else', async (t) => {
  const table = {
    //           describe read publish tokens audit metrics
    reader: [200, 200, 403, 403, 403, 200],
    writer: [200, 200, 201, 403, 403, 200],
    detector: [403, 403, 403, 403, 403, 403],
    auditor: [200, 403, 403, 403, 200, 200],
    admin: [200, 200, 201, 200, 200, 200],
  }
  for (const [role, statuses] of Object.entries(table)) {
    const as = { token: await token(role) }
    const answers = [
      await request('/v1/checkpoints/acme/bert/1.0', as),
      await request(`/v1/checkpoints/acme/bert/1.0${FILE}`, as),
      await put(`acme/by-${role}/1.0`, smallFile(), as),
      await request('/v1/tokens', as),
      await request('/v1/audit', as),
      await request('/metrics', as),
    ]
    t.strictSame(
      answers.map(({ status }) => status),
      statuses,
      role,
    )
    t.equal((await request('/v1/whoami', as)).status, 200)
    for (const refused of answers.filter(({ status }) => status === 403)) {
      t.equal(refused.headers.get('www-authenticate'), `${REALM}, error="insufficient_scope"`)
      await problem(t, refused, 403, 'FORBIDDEN')
    }
  }
})

t.test('out of scope a read finds nothing, whether or not there is something', async (t) => {
  const reader = await token('reader', 'ACME/*')
  t.equal((await request('/v1/checkpoints/Acme/Bert', { token: reader })).status, 200)
  for (const rest of ['', '/1.0', `/1.0${FILE}`, '/1.0/tensors', '/1.0/hashes']) {
    const bodies: unknown[] = []
    for (const name of ['other/gpt', 'other/none']) {
      const response = await request(`/v1/checkpoints/${name}${rest}`, { token: reader })
      t.equal(response.headers.get('x-checkpoint-revision'), null)
      const { detail, what } = await problem(t, response, 404, 'NOT_FOUND')
      bodies.push({ detail, what })
    }
    t.strictSame(bodies[0], bodies[1], rest)
  }
  for (const name of ['other/gpt', 'other/none']) {
    const path = `/v1/checkpoints/${name}/1.0/verify`
    const verify = await request(path, { token: reader, method: 'POST' })
    await problem(t, verify, 404, 'NOT_FOUND', { what: 'checkpoint' })
  }
})

t.test('out of scope a write is refused, whether or not there is something', async (t) => {
  const writer = await token('writer', 'acme/b*')
  t.equal((await put('Acme/BART/1.0', smallFile(), { token: writer })).status, 201)
  for (const ref of ['other/gpt/1.0', 'other/gpt/2.0', 'other/none/1.0', 'acme/other/1.0']) {
    await problem(t, await put(ref, smallFile(), { token: writer }), 403, 'FORBIDDEN')
    const body = new FormData()
    body.append('file', new Blob([smallFile()]), 'model.safetensors')
    const form = await request(`/v1/checkpoints/${ref}`, { token: writer, method: 'POST', body })
    await problem(t, form, 403, 'FORBIDDEN')
  }
})

t.test('bad tokens are throttled by address, and a good one never with them', async (t) => {
  const own = await startServer(t, { STRONGROOM_AUTH_FAILURES_PER_MINUTE: '5' })
  const reader = await own.token('reader')
  for (let i = 0; i < 5; i++) {
    await problem(t, await own.request('/v1/whoami', { token: 'sr_x' }), 401, 'UNAUTHENTICATED')
  }
  for (let i = 0; i < 3; i++) {
    const response = await own.request('/v1/whoami', { token: 'sr_x' })
    t.ok(Number(response.headers.get('retry-after')) >= 1)
    await problem(t, response, 429, 'TOO_MANY_REQUESTS')
    t.equal((await own.request('/v1/whoami', { token: reader })).status, 200)
    t.equal((await own.request('/v1/whoami', { token: undefined })).status, 401)
    t.equal((await own.request('/livez', { token: undefined })).status, 200)
  }
})

t.test('no token, hash of one, or query is in a line of the log', async (t) => {
  const secret = 'sr_a-secret-that-nobody-should-read-in-a-log'
  await request(`/v1/checkpoints?prefix=a&note=${secret}`, { token: secret })
  await request(`/v1/nowhere?${secret}`, { token: secret })
  await request(`/%zz?${secret}`, { token: secret })
  await put('acme/bert/1.0', smallFile(), { query: `?meta.a=${secret}` })
  await exchange(url, `GET /livez HTTP/1.1\r\nauthorization: ${secret}\r\n bad\r\n\r\n`)
  const text = JSON.stringify(log())
  t.notMatch(text, secret)
  t.notMatch(text, ADMIN)
  t.match(text, /acme/, 'names are there')
  t.match(text, 'v1/checkpoints/:owner/:name/:version', 'and patterns')
})
