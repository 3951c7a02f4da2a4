import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { type Json, jsonOf, problem } from './wire.ts'

const { request, token, folder } = await startServer(t)

const create = (body: unknown, as = ADMIN) =>
  request('/v1/tokens', {
    token: as,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
const list = async (as = ADMIN) =>
  (await jsonOf(await request('/v1/tokens', { token: as })))['items'] as readonly Json[]

t.test('a token is shown once, when it is made, and works at once', async (t) => {
  const expires_at = '2099-01-01T00:00:00+02:00'
  const response = await create({ name: 'training', role: 'writer', scope: 'Acme/*', expires_at })
  const { token: secret, ...made } = await jsonOf(response)
  t.equal(response.status, 201)
  t.equal(response.headers.get('cache-control'), 'no-store')
  t.match(secret, /^sr_[\w-]{43}$/)
  t.match(made, {
    id: /./,
    name: 'training',
    role: 'writer',
    scope: 'acme/*',
    created_by: 'admin',
    expires_at: '2098-12-31T22:00:00.000Z',
    revoked_at: null,
  })
  const text = await (await request('/v1/tokens')).text()
  t.notMatch(text, String(secret))
  t.strictSame(await jsonOf(await request('/v1/whoami', { token: String(secret) })), made)
  t.match(
    (await list()).find(({ id }) => id === made['id']),
    made,
  )
})

t.test('no secret is in a file of the ledger', async (t) => {
  const secret = await token('reader')
  const ledger = join(folder, 'data/ledger')
  const files = readdirSync(ledger, { recursive: true, withFileTypes: true })
  for (const file of files.filter((entry) => entry.isFile())) {
    t.notOk(readFileSync(join(file.parentPath, file.name)).includes(secret.slice(3)), file.name)
  }
})

t.test('a revoked token stays in the list and opens nothing', async (t) => {
  const { id, token: secret } = await jsonOf(await create({ name: 'old', role: 'admin' }))
  const path = `/v1/tokens/${String(id)}`
  const revoke = () => request(path, { token: ADMIN, method: 'DELETE' })
  t.equal((await revoke()).status, 204)
  t.equal((await request('/v1/tokens', { token: String(secret) })).status, 401)
  const [found] = (await list()).filter((each) => each['id'] === id)
  t.match(found, { revoked_at: /Z$/, scope: '*' })
  const unknown = await request('/v1/tokens/none', { token: ADMIN, method: 'DELETE' })
  await problem(t, unknown, 404, 'NOT_FOUND')
})

t.test('a token that makes no sense is not made, and every field is told', async (t) => {
  const good = { name: 'a', role: 'reader', scope: '*' }
  for (const [body, field] of [
    [{ ...good, name: '' }, 'body.name'],
    [{ ...good, name: 'a\nb' }, 'body.name'],
    [{ ...good, name: 5 }, 'body.name'],
    [{ ...good, role: 'root' }, 'body.role'],
    [{ ...good, expires_at: 'tomorrow' }, 'body.expires_at'],
    [{ ...good, expires_at: '2099-02-30T00:00:00Z' }, 'body.expires_at'],
    [{ ...good, expires_at: '2001-01-01T00:00:00Z' }, 'body.expires_at'],
    [{ ...good, expires: null }, 'body.expires'],
    [{ ...good, role: 'auditor', scope: 'acme/*' }, 'body.scope'],
    [{ role: 'reader' }, 'body.name'],
  ] as const) {
    const { errors } = await problem(t, await create(body), 400, 'INVALID_REQUEST')
    t.match(errors, [{ field, detail: /./ }])
    t.match(errors, { length: 1 }, 'one a field')
  }
  const { errors } = await problem(t, await create({ name: '', role: 1 }), 400, 'INVALID_REQUEST')
  t.strictSame(
    (errors as readonly Json[]).map(({ field }) => field),
    ['body.name', 'body.role'],
  )
  for (const scope of ['acme', 'acme/', '*/bert', 'a*/b', '', 'v1/*']) {
    const response = await create({ ...good, scope })
    await problem(t, response, 400, 'INVALID_NAME', { what: 'scope' })
  }
})

t.test('an expiry may be left out or null', async (t) => {
  for (const rest of [{}, { expires_at: null }]) {
    const response = await create({ name: 'a', role: 'reader', scope: '*', ...rest })
    t.match(await jsonOf(response), { expires_at: null })
  }
})

t.test('an admin of some checkpoints makes, sees and revokes no token beyond them', async (t) => {
  const admin = await token('admin', 'acme/*')
  const inside = await create({ name: 'in', role: 'writer', scope: 'acme/bert' }, admin)
  t.equal(inside.status, 201)
  const outside = await create({ name: 'out', role: 'reader', scope: '*' }, admin)
  await problem(t, outside, 403, 'FORBIDDEN')
  t.ok((await list(admin)).every(({ scope }) => String(scope).startsWith('acme/')))
  const [root] = await list()
  const path = `/v1/tokens/${String(root?.['id'])}`
  const revoke = await request(path, { token: admin, method: 'DELETE' })
  await problem(t, revoke, 404, 'NOT_FOUND')
})
