import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { jsonOf, problem, smallFile, type Json } from './wire.ts'

const server = await startServer(t)
const { put, request, token } = server

const urlOf = (checkpoint: string, tag: string) => `/v1/checkpoints/${checkpoint}/tags/${tag}`

const send = (method: string, url: string, body: unknown, as = ADMIN): Promise<Response> =>
  request(url, {
    token: as,
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })

const move = (checkpoint: string, tag: string, body: unknown, as?: string): Promise<Response> =>
  send('PUT', urlOf(checkpoint, tag), body, as)

const remove = (checkpoint: string, tag: string, as = ADMIN): Promise<Response> =>
  request(urlOf(checkpoint, tag), { token: as, method: 'DELETE' })

/** Publishes versions of a checkpoint; their revisions. */
async function publish(checkpoint: string, ...versions: readonly string[]): Promise<string[]> {
  const revisions: string[] = []
  for (const [i, version] of versions.entries()) {
    const { revision } = await jsonOf(await put(`${checkpoint}/${version}`, smallFile(i)))
    revisions.push(String(revision))
  }
  return revisions
}

t.test('a tag is made, moved, read through and deleted', async (t) => {
  const [one = '', two = ''] = await publish('acme/moved', '1.0', '2.0')
  const made = await move('acme/moved', 'stable', { ref: '1.0' })
  t.equal(made.status, 201)
  t.equal(made.headers.get('x-checkpoint-revision'), one)
  t.equal(made.headers.get('x-checkpoint-version'), '1.0')
  const stable = { tag: 'stable', version: '1.0', revision: one }
  t.strictSame(await jsonOf(made), { ...stable, previous: null })
  const again = await move('ACME/Moved', 'stable', { ref: one.slice(0, 12) })
  t.equal(again.status, 200)
  t.strictSame(await jsonOf(again), { ...stable, previous: one })

  const moved = await move('acme/moved', 'stable', { ref: 'latest' })
  t.equal(moved.status, 200)
  t.strictSame(await jsonOf(moved), {
    tag: 'stable',
    version: '2.0',
    revision: two,
    previous: one,
  })
  const found = await request(urlOf('acme/moved', 'stable'))
  t.equal(found.headers.get('x-checkpoint-revision'), two)
  const told = await jsonOf(found)
  t.strictSame(
    { ...told, moved_at: '' },
    { tag: 'stable', version: '2.0', revision: two, moved_at: '' },
  )
  t.match(told['moved_at'], /^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
  const through = await request('/v1/checkpoints/acme/moved/stable')
  t.match(await jsonOf(through), { version: '2.0', tags: ['latest', 'stable'] })

  t.equal((await remove('acme/moved', 'stable')).status, 204)
  await problem(t, await remove('acme/moved', 'stable'), 404, 'NOT_FOUND', { what: 'tag' })
  const gone = await request(urlOf('acme/moved', 'stable'))
  await problem(t, gone, 404, 'NOT_FOUND', { what: 'tag' })
  const unread = await request('/v1/checkpoints/acme/moved/stable')
  await problem(t, unread, 404, 'NOT_FOUND', { what: 'version' })
})

t.test('a rollback is a move that expects what it undoes', async (t) => {
  const [one = '', two = ''] = await publish('acme/rolled', '1.0', '2.0')
  await move('acme/rolled', 'production', { ref: '2.0', expected: null })
  const late = await move('acme/rolled', 'production', { ref: '1.0', expected: null })
  await problem(t, late, 412, 'TAG_MOVED', { current: two })
  const wrong = await move('acme/rolled', 'production', { ref: '1.0', expected: one })
  await problem(t, wrong, 412, 'TAG_MOVED', { current: two })
  const expected = two.toUpperCase()
  const back = await move('acme/rolled', 'production', { ref: '1.0', expected })
  t.match(await jsonOf(back), { version: '1.0', previous: two })
  const never = await move('acme/rolled', 'other', { ref: '1.0', expected: one })
  await problem(t, never, 412, 'TAG_MOVED', { current: null })
  const kept = await remove('acme/rolled', `production?expected=${two}`)
  await problem(t, kept, 412, 'TAG_MOVED', { current: one })
  t.equal((await remove('acme/rolled', `production?expected=${one}`)).status, 204)
})

t.test('latest is the server’s own', async (t) => {
  const [, two] = await publish('acme/kept', '1.0', '2.0')
  const facts = { current: two }
  const moved = await move('acme/kept', 'latest', { ref: '1.0' })
  await problem(t, moved, 403, 'TAG_PROTECTED', facts)
  await problem(t, await remove('acme/kept', 'latest'), 403, 'TAG_PROTECTED', facts)
  const found = await jsonOf(await request(urlOf('acme/kept', 'latest')))
  t.match(found, { tag: 'latest', version: '2.0', revision: two })
})

t.test('only an admin moves what a policy protects, and what is the server’s', async (t) => {
  const writer = await token('writer')
  const [one] = await publish('guarded/bert', '1.0')
  await publish('strongroom/guarded', '1.0')
  await send('PUT', '/v1/owners/guarded/policy', { protected_tags: ['prod*'] })
  for (const [checkpoint, tag] of [
    ['guarded/bert', 'production'],
    ['strongroom/guarded', 'any'],
    ['StrongRoom/guarded', 'other'],
  ] as const) {
    const early = await move(checkpoint, tag, { ref: '1.0' }, writer)
    await problem(t, early, 403, 'TAG_PROTECTED', { current: null })
    t.equal((await move(checkpoint, tag, { ref: '1.0' })).status, 201)
    const { revision } = await jsonOf(await request(urlOf(checkpoint, tag)))
    const facts = { current: revision }
    const late = await move(checkpoint, tag, { ref: '1.0' }, writer)
    await problem(t, late, 403, 'TAG_PROTECTED', facts)
    await problem(t, await remove(checkpoint, tag, writer), 403, 'TAG_PROTECTED', facts)
  }
  t.equal((await move('guarded/bert', 'preprod', { ref: '1.0' }, writer)).status, 201)
  t.equal((await remove('guarded/bert', 'preprod', writer)).status, 204)
  const subject = encodeURIComponent('guarded/bert@production')
  const audit = await jsonOf(await request(`/v1/audit?action=refuse&subject=${subject}`))
  t.match(audit['items'], [{ outcome: 'TAG_PROTECTED', who: { name: 'writer of a test' } }])
  t.match(await jsonOf(await request(urlOf('guarded/bert', 'production'))), { revision: one })
})

t.test('tags and versions share their names, and each has its own', async (t) => {
  const [one, two] = await publish('acme/named', '1.0', '2.0')
  const taken = await move('acme/named', '1.0', { ref: '2.0' })
  await problem(t, taken, 409, 'VERSION_EXISTS', { revision: one })
  await move('acme/named', '3.0', { ref: '2.0' })
  const late = await put('acme/named/3.0', smallFile(9))
  await problem(t, late, 409, 'VERSION_EXISTS', { revision: two })
  for (const [tag, rule] of [
    ['-a', 'characters'],
    ['a%20b', 'characters'],
    ['a%2Fb', 'characters'],
    ['x'.repeat(129), 'length'],
    ['main', 'reserved'],
    ['HEAD', 'reserved'],
    ['policy', 'reserved'],
    ['f'.repeat(40), 'digest_like'],
  ] as const) {
    const facts = { what: 'tag', rule }
    const refused = await move('acme/named', tag, { ref: '1.0' })
    await problem(t, refused, 400, 'INVALID_NAME', facts)
    await problem(t, await remove('acme/named', tag), 400, 'INVALID_NAME', facts)
    await problem(t, await request(urlOf('acme/named', tag)), 400, 'INVALID_NAME', facts)
    const history = await request(`${urlOf('acme/named', tag)}/history`)
    await problem(t, history, 400, 'INVALID_NAME', facts)
  }
  for (const tag of ['tensors', 'files', 'history', 'verify', 'v1+2_3-x.y', 'x'.repeat(128)]) {
    t.equal((await move('acme/named', tag, { ref: '1.0' })).status, 201, tag)
    t.match(await jsonOf(await request(urlOf('acme/named', tag))), { tag })
    const { items } = await jsonOf(await request(`${urlOf('acme/named', tag)}/history`))
    t.match(items, [{ action: 'created', version: '1.0' }])
  }
})

t.test('what a tag is moved to must be there', async (t) => {
  await publish('acme/refs', '1.0')
  for (const ref of ['2.0', 'stable', '0123456789ab', 'f'.repeat(64), '../1.0', ' '])
    await problem(t, await move('acme/refs', 'stable', { ref }), 404, 'NOT_FOUND', {
      what: 'version',
    })
  const absent = await move('acme/no-refs', 'stable', { ref: '1.0' })
  await problem(t, absent, 404, 'NOT_FOUND', { what: 'checkpoint' })
  for (const [body, field] of [
    [{}, 'body.ref'],
    [{ ref: '' }, 'body.ref'],
    [{ ref: 1 }, 'body.ref'],
    [{ ref: 'x'.repeat(129) }, 'body.ref'],
    [{ ref: '1.0', expected: '1.0' }, 'body.expected'],
    [{ ref: '1.0', expected: 5 }, 'body.expected'],
    [{ ref: '1.0', force: true }, 'body.force'],
  ] as const) {
    const refused = await move('acme/refs', 'stable', body)
    await problem(t, refused, 400, 'INVALID_REQUEST', { errors: [{ field, detail: /./ }] })
  }
  const refused = await remove('acme/refs', 'stable?expected=1.0')
  await problem(t, refused, 400, 'INVALID_REQUEST', { errors: [{ field: 'query.expected' }] })
})

t.test('who may change and who may read tags', async (t) => {
  await publish('acme/who', '1.0')
  await move('acme/who', 'read', { ref: '1.0' })
  const table = [
    ['reader', '*', 403, 200],
    ['auditor', '*', 403, 200],
    ['detector', '*', 403, 403],
    ['writer', 'acme/who', 201, 200],
    ['admin', 'acme/*', 201, 200],
    ['writer', 'other/*', 403, 404],
    ['admin', 'other/*', 403, 404],
  ] as const
  for (const [i, [role, scope, change, read]] of table.entries()) {
    const as = await token(role, scope)
    const label = `${role} of ${scope}`
    t.equal((await move('acme/who', `t${i}`, { ref: '1.0' }, as)).status, change, label)
    const absent = await move('acme/nothing', 't', { ref: '1.0' }, as)
    t.equal(absent.status, change === 201 && scope === 'acme/*' ? 404 : 403, label)
    t.equal((await request(urlOf('acme/who', 'read'), { token: as })).status, read, label)
    const history = await request(`${urlOf('acme/who', 'read')}/history`, { token: as })
    t.equal(history.status, read, label)
  }
  t.equal((await request(urlOf('acme/who', 'read'), { token: undefined })).status, 401)
})

t.test('the history says what a tag named, when, and who moved it', async (t) => {
  const writer = await token('writer')
  const [one, two] = await publish('Acme/History', '1.0', '2.0')
  await move('acme/history', 'production', { ref: '1.0' }, writer)
  await move('acme/history', 'production', { ref: '2.0' })
  await move('acme/history', 'production', { ref: '2.0' })
  await move('acme/history', 'production', { ref: '1.0' })
  await remove('acme/history', 'production')
  const url = `${urlOf('acme/history', 'production')}/history`
  const { items, next } = await jsonOf(await request(url))
  const events = items as readonly Json[]
  t.equal(next, null)
  t.match(events, [
    { action: 'deleted', version: null, revision: null, previous: one, who: { name: 'admin' } },
    { action: 'moved', version: '1.0', revision: one, previous: two },
    { action: 'moved', version: '2.0', revision: two, previous: one, at: /Z$/, seq: Number },
    {
      action: 'created',
      version: '1.0',
      revision: one,
      previous: null,
      who: { name: 'writer of a test' },
    },
  ])
  t.equal(events.length, 4)

  const paged: Json[] = []
  for (let page = `${url}?limit=1`; ;) {
    const response = await request(page)
    const { items, next } = await jsonOf(response)
    paged.push(...(items as readonly Json[]))
    if (next === null) break
    t.match(response.headers.get('link'), `cursor=${next as string}`)
    page = `${url}?limit=1&cursor=${next as string}`
  }
  t.strictSame(paged, events)

  const latest = await jsonOf(await request(`${urlOf('acme/history', 'latest')}/history`))
  t.match(latest['items'], [
    { action: 'published', version: '2.0', revision: two, previous: one },
    { action: 'published', version: '1.0', revision: one, previous: null },
  ])
})

t.test('there is no history of what never was', async (t) => {
  await publish('acme/unwritten', '1.0')
  const absent = await request(`${urlOf('acme/unwritten', 'none')}/history`)
  await problem(t, absent, 404, 'NOT_FOUND', { what: 'tag' })
  const nowhere = await request(`${urlOf('acme/nowhere', 'none')}/history`)
  await problem(t, nowhere, 404, 'NOT_FOUND', { what: 'checkpoint' })
  for (const cursor of ['x', Buffer.from('["a"]').toString('base64url')]) {
    const bad = await request(`${urlOf('acme/unwritten', 'latest')}/history?cursor=${cursor}`)
    await problem(t, bad, 400, 'INVALID_REQUEST', { errors: [{ field: 'query.cursor' }] })
  }
  t.match(await jsonOf(await request('/v1/audit/verify')), { valid: true })
})
