import { createHash } from 'node:crypto'
import t from 'tap'
import { weights } from '../attacks/hostile.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { jsonOf, problem, smallFile, type Json } from './wire.ts'

const server = await startServer(t)
const { put, request, token } = server

const urlOf = (ref: string): string => `/v1/checkpoints/${ref}`

const withdraw = (ref: string, query = '', as = ADMIN): Promise<Response> =>
  request(urlOf(ref) + query, { token: as, method: 'DELETE' })

const withdrawSaying = (ref: string, body: unknown, query = ''): Promise<Response> =>
  request(urlOf(ref) + query, {
    token: ADMIN,
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

t.test('a version is withdrawn with its reason, which everyone who asks is told', async (t) => {
  const published = await jsonOf(await put('acme/gone/1.0', smallFile(1)))
  const { revision } = published
  const response = await withdraw('ACME/gone/1.0', '?reason=poisoned%20data')
  t.equal(response.status, 200)
  t.equal(response.headers.get('x-checkpoint-revision'), revision)
  t.equal(response.headers.get('x-checkpoint-version'), '1.0')
  t.strictSame(await jsonOf(response), {
    ...published,
    state: 'withdrawn',
    withdrawn_reason: 'poisoned data',
    tags: [],
  })
  const facts = { reason: 'poisoned data' }
  for (const path of ['', '/files/model.safetensors', '/tensors', '/hashes'])
    await problem(t, await request(urlOf(`acme/gone/1.0${path}`)), 410, 'WITHDRAWN', facts)
  await problem(t, await request(urlOf(`acme/gone/${String(revision)}`)), 410, 'WITHDRAWN', facts)
  const verify = await request(urlOf('acme/gone/1.0/verify'), { token: ADMIN, method: 'POST' })
  await problem(t, verify, 410, 'WITHDRAWN', facts)
  t.match(await jsonOf(await request(urlOf('acme/gone'))), {
    versions: [{ version: '1.0', state: 'withdrawn' }],
    tags: {},
  })
})

t.test('a withdrawn name is never used again, not for the same bytes either', async (t) => {
  await put('acme/burnt/1.0', smallFile(1))
  await withdrawSaying('acme/burnt/1.0', { reason: 'wrong' })
  for (const fill of [1, 2]) {
    const again = await put('acme/burnt/1.0', smallFile(fill))
    await problem(t, again, 410, 'WITHDRAWN', { reason: 'wrong' })
  }
  t.equal((await put('acme/burnt/1.1', smallFile(1))).status, 201)
})

t.test('withdrawn again, the first reason stays', async (t) => {
  await put('acme/twice/1.0', smallFile(1))
  const first = await jsonOf(await withdraw('acme/twice/1.0', '?reason=first'))
  const second = await withdraw('acme/twice/1.0', '?reason=second')
  t.equal(second.status, 200)
  t.strictSame(await jsonOf(second), first)
  const subject = encodeURIComponent('acme/twice@1.0')
  const { items } = await jsonOf(await request(`/v1/audit?action=withdraw&subject=${subject}`))
  t.match(items, [{ outcome: 'ok', details: { reason: 'first', latest: null } }])
  t.equal((items as readonly Json[]).length, 1)
})

t.test('a reason is optional, short, and fit to be shown', async (t) => {
  for (const [i, body] of [null, {}, { reason: '' }].entries()) {
    await put(`acme/reasons/1.${i}`, smallFile(i))
    const response = await withdrawSaying(`acme/reasons/1.${i}`, body)
    t.match(await jsonOf(response), { state: 'withdrawn', withdrawn_reason: '' })
  }
  await put('acme/reasons/2.0', smallFile(9))
  for (const reason of ['a\nb', '\u001b[31m', 'a\u0000', '\u0085', 'x'.repeat(1001)]) {
    const inBody = await withdrawSaying('acme/reasons/2.0', { reason })
    await problem(t, inBody, 400, 'INVALID_REQUEST')
    const inQuery = await withdraw('acme/reasons/2.0', `?reason=${encodeURIComponent(reason)}`)
    const errors = [{ field: 'query.reason', detail: /./ }]
    await problem(t, inQuery, 400, 'INVALID_REQUEST', { errors })
  }
  const half = await withdrawSaying('acme/reasons/2.0', { reason: '\ud800' })
  await problem(t, half, 400, 'INVALID_REQUEST', { errors: [{ field: 'body.reason' }] })
  const both = await withdrawSaying('acme/reasons/2.0', { reason: 'a' }, '?reason=a')
  await problem(t, both, 400, 'INVALID_REQUEST', { errors: [{ field: 'query.reason' }] })
  for (const body of [{ reason: 5 }, { reasons: 'a' }, 'a', []])
    await problem(t, await withdrawSaying('acme/reasons/2.0', body), 400, 'INVALID_REQUEST')
  t.match(await jsonOf(await request(urlOf('acme/reasons/2.0'))), { state: 'available' })
  const reason = 'größer als Ω 🙂'
  const said = await withdrawSaying('acme/reasons/2.0', { reason })
  t.match(await jsonOf(said), { withdrawn_reason: reason })
})

t.test('only a version’s own name withdraws it', async (t) => {
  const { revision } = await jsonOf(await put('acme/exact/1.0', smallFile(1)))
  const hex = String(revision)
  for (const ref of ['latest', hex, hex.slice(0, 12), hex.slice(0, 40), '1', 'tags', 'none']) {
    const response = await withdraw(`acme/exact/${ref}`)
    await problem(t, response, 404, 'NOT_FOUND', { what: 'version' })
  }
  await problem(t, await withdraw('acme/inexact/1.0'), 404, 'NOT_FOUND', { what: 'checkpoint' })
  await problem(t, await withdraw('acme/exact/policy'), 405, 'METHOD_NOT_ALLOWED')
  t.match(await jsonOf(await request(urlOf('acme/exact/1.0'))), { state: 'available' })
})

t.test(
  'only an admin in whose scope it lies withdraws, and who else tries is entered',
  async (t) => {
    await put('acme/mine/1.0', smallFile(1))
    for (const [role, scope] of [
      ['reader', '*'],
      ['writer', '*'],
      ['auditor', '*'],
      ['detector', '*'],
      ['admin', 'other/*'],
      ['admin', 'acme/min'],
    ] as const) {
      const as = await token(role, scope)
      await problem(t, await withdraw('acme/mine/1.0', '', as), 403, 'FORBIDDEN')
      await problem(t, await withdraw('acme/none/1.0', '', as), 403, 'FORBIDDEN')
    }
    const subject = encodeURIComponent('acme/mine@1.0')
    const { items } = await jsonOf(await request(`/v1/audit?action=refuse&subject=${subject}`))
    t.match(items, [{ outcome: 'FORBIDDEN' }])
    const as = await token('admin', 'acme/mine')
    t.equal((await withdraw('acme/mine/1.0', '', as)).status, 200)
  },
)

t.test('latest moves on, and a tag that named it says that it is withdrawn', async (t) => {
  const move = (tag: string, ref: string) =>
    request(urlOf(`acme/tagged/tags/${tag}`), {
      token: ADMIN,
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ref }),
    })
  const one = await jsonOf(await put('acme/tagged/1.0', smallFile(1)))
  const two = await jsonOf(await put('acme/tagged/2.0', smallFile(2)))
  await move('production', '2.0')
  await withdraw('acme/tagged/2.0', '?reason=bad')
  t.match(await jsonOf(await request(urlOf('acme/tagged/latest'))), { version: '1.0' })
  const through = await request(urlOf('acme/tagged/production'))
  await problem(t, through, 410, 'WITHDRAWN', { reason: 'bad' })
  const tag = await request(urlOf('acme/tagged/tags/production'))
  t.match(await jsonOf(tag), { version: '2.0', revision: two['revision'] })
  await problem(t, await move('other', '2.0'), 410, 'WITHDRAWN', { reason: 'bad' })
  t.equal((await move('production', '1.0')).status, 200, 'and is moved back')
  const history = await jsonOf(await request(urlOf('acme/tagged/tags/latest/history')))
  t.match(history['items'], [
    { action: 'withdrawn', version: '1.0', revision: one['revision'], previous: two['revision'] },
    { action: 'published', version: '2.0' },
    { action: 'published', version: '1.0', previous: null },
  ])
  await withdraw('acme/tagged/1.0')
  const none = await request(urlOf('acme/tagged/latest'))
  await problem(t, none, 404, 'NOT_FOUND', { what: 'version' })
  const gone = await jsonOf(await request(urlOf('acme/tagged/tags/latest/history?limit=1')))
  t.match(gone['items'], [{ action: 'withdrawn', version: null, revision: null }])
})

t.test('of latest only withdrawals that moved it are told', async (t) => {
  for (const [i, version] of ['1.0', '2.0', '3.0'].entries())
    await put(`acme/aside/${version}`, smallFile(i))
  await withdraw('acme/aside/1.0')
  const { items } = await jsonOf(await request(urlOf('acme/aside/tags/latest/history')))
  t.match(items, [{ version: '3.0' }, { version: '2.0' }, { version: '1.0' }])
  t.equal((items as readonly Json[]).length, 3)
})

t.test('a read under way ends as it would have, and the next one is told', async (t) => {
  const file = weights(24 * 1024 * 1024)
  await put('acme/read/1.0', file)
  const path = urlOf('acme/read/1.0/files/model.safetensors')
  const reading = await request(path)
  if (reading.body === null) throw new Error('there is no body')
  const hash = createHash('sha256')
  let isWithdrawn = false
  for await (const chunk of reading.body as AsyncIterable<Uint8Array>) {
    hash.update(chunk)
    if (!isWithdrawn) t.equal((await withdraw('acme/read/1.0')).status, 200)
    isWithdrawn = true
  }
  t.equal(hash.digest('hex'), createHash('sha256').update(file).digest('hex'))
  await problem(t, await request(path), 410, 'WITHDRAWN')
})

t.test('its bytes are published by their hash no more', async (t) => {
  const { files } = await jsonOf(await put('acme/hashed/1.0', smallFile(77)))
  const [{ sha256 } = {}] = files as readonly Json[]
  const publish = (ref: string) =>
    request(urlOf(ref), {
      token: ADMIN,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ files: [{ path: 'model.safetensors', sha256 }] }),
    })
  await withdraw('acme/hashed/1.0')
  await problem(t, await publish('acme/hashed/2.0'), 404, 'NOT_FOUND', { what: 'file' })
  t.match(await jsonOf(await request('/v1/audit/verify')), { valid: true })
})
