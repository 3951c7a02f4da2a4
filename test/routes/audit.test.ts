import t from 'tap'
import { tamper } from '../db/fixture.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN, startServer, type TestServer } from '../helpers/server.ts'
import { join } from 'node:path'
import { type Json, jsonOf, problem, smallFile } from './wire.ts'

const entriesOf = async ({ request }: TestServer, query = '') =>
  (await jsonOf(await request(`/v1/audit?limit=1000${query}`)))['items'] as readonly Json[]
const verdictOf = async ({ request }: TestServer) => jsonOf(await request('/v1/audit/verify'))

const FILE = '/v1/checkpoints/acme/audited/1.0/files/model.safetensors'

t.test('an entry says who did what to which revision, from where, and how it went', async (t) => {
  const server = await startServer(t)
  const writer = await server.token('writer')
  const published = await server.put('acme/audited/1.0', smallFile(), { token: writer })
  const { revision } = await jsonOf(published)
  const whoami = await jsonOf(await server.request('/v1/whoami', { token: writer }))
  const [entry, ...others] = await entriesOf(server, '&action=publish')
  t.strictSame(others, [])
  t.match(entry, {
    seq: Number,
    at: /^\d{4}-\d\d-\d\dT.*Z$/,
    action: 'publish',
    who: { id: whoami['id'], name: 'writer of a test' },
    address: '127.0.0.1',
    subject: 'acme/audited@1.0',
    revision,
    outcome: 'ok',
    prev_hash: /^[0-9a-f]{64}$/,
    hash: /^[0-9a-f]{64}$/,
  })
  await server.request(`/v1/tokens/${String(whoami['id'])}`, { token: ADMIN, method: 'DELETE' })
  const actions = (await entriesOf(server)).map(({ action }) => action)
  for (const action of ['server.start', 'token.create', 'publish', 'token.revoke']) {
    t.ok(actions.includes(action), action)
  }
  t.notMatch(JSON.stringify(await entriesOf(server)), /sr_/)
})

t.test('downloads of a file are one entry a minute, with their number and bytes', async (t) => {
  const server = await startServer(t)
  const size = smallFile().length
  await server.put('acme/audited/1.0', smallFile())
  await server.put('acme/audited/1.1', smallFile(2))
  for (let i = 0; i < 3; i++) await (await server.request(FILE)).arrayBuffer()
  const headers = { range: 'bytes=0-9' }
  await (await server.request(FILE, { token: ADMIN, headers })).arrayBuffer()
  await (await server.request(FILE.replace('1.0', '1.1'))).arrayBuffer()
  await server.request(FILE, { token: ADMIN, method: 'HEAD' })
  const entries = await entriesOf(server, '&action=download&subject=acme/audited@1.0')
  // A minute may have turned between two of them.
  const sum = (field: string) =>
    entries.reduce((total, { details }) => total + Number((details as Json)[field]), 0)
  t.ok(entries.length <= 2)
  t.equal(sum('count'), 4)
  t.equal(sum('bytes'), 3 * size + 10)
  t.match(entries[0], { revision: /./, outcome: 'ok', details: { path: 'model.safetensors' } })
})

t.test('a refusal to someone known is entered, with its code', async (t) => {
  const server = await startServer(t)
  const writer = await server.token('writer', 'acme/*')
  await server.put('acme/bad/1.0', Buffer.from('80027d71002e', 'hex'), { token: writer })
  await server.put('other/bad/1.0', smallFile(), { token: writer })
  await server.put('strongroom/bad/1.0', smallFile(), { token: await server.token('writer') })
  await server.put('acme/bad/1.0', smallFile(), { token: 'sr_unknown' })
  t.match(await entriesOf(server, '&action=refuse'), [
    {
      subject: 'acme/bad@1.0',
      outcome: 'INVALID_SAFETENSORS',
      who: { name: 'writer of a test' },
      details: { reason: 'not_safetensors', looks_like: 'pickle' },
    },
    { subject: 'other/bad@1.0', outcome: 'FORBIDDEN' },
    { subject: 'strongroom/bad@1.0', outcome: 'FORBIDDEN' },
  ])
  t.equal((await entriesOf(server, '&action=refuse')).length, 3, 'strangers are only counted')
})

t.test('the log is read page by page in the order of its entries', async (t) => {
  const server = await startServer(t)
  for (let i = 0; i < 5; i++) await server.token('reader')
  const all = await entriesOf(server)
  const seen: Json[] = []
  for (let path: string | undefined = '/v1/audit?limit=2&action=token.create'; path;) {
    const response: Response = await server.request(path)
    const page = await jsonOf(response)
    seen.push(...(page['items'] as Json[]))
    path = /^<(.*)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1]
    t.equal(page['next'] === null, path === undefined)
  }
  t.strictSame(
    seen,
    all.filter(({ action }) => action === 'token.create'),
  )
  for (const [i, entry] of all.entries()) {
    if (i > 0) t.equal(entry['prev_hash'], all[i - 1]?.['hash'])
  }
  for (const query of ['limit=1001', 'limit=0', 'after=-1']) {
    await problem(t, await server.request(`/v1/audit?${query}`), 400, 'INVALID_REQUEST')
  }
})

t.test('a chain that holds is told from one that was rewritten', async (t) => {
  const server = await startServer(t)
  await server.put('acme/audited/1.0', smallFile())
  const entries = await entriesOf(server)
  const last = entries.at(-1)
  t.match(await verdictOf(server), {
    valid: true,
    entries: entries.length,
    head: { seq: last?.['seq'], hash: last?.['hash'] },
    broken: null,
  })
  const publish = entries.find(({ action }) => action === 'publish')
  const seq = Number(publish?.['seq'])
  tamper(
    join(server.folder, 'data/ledger'),
    `DROP TRIGGER IF EXISTS audit_no_update; UPDATE audit SET subject = 'acme/other@1.0' WHERE seq = ${seq}`,
  )
  t.match(await verdictOf(server), { valid: false, broken: { seq, why: /./ } })
})

t.test('the log speaks of everyone: a token that reaches some does not get it', async (t) => {
  const server = await startServer(t)
  for (const token of [await server.token('admin', 'acme/*'), await server.token('writer')]) {
    for (const path of ['/v1/audit', '/v1/audit/verify']) {
      await problem(t, await server.request(path, { token }), 403, 'FORBIDDEN')
    }
  }
  const auditor = await server.token('auditor')
  t.equal((await server.request('/v1/audit', { token: auditor })).status, 200)
})

t.test('a download whose caller hangs up is entered as such, with its address', async (t) => {
  const server = await startServer(t)
  const large = writeSafetensors([
    { name: 'w', dtype: 'U8', shape: [24_000_000], bytes: new Uint8Array(24_000_000) },
  ])
  await server.put('acme/audited/1.0', large)
  const response = await server.request(FILE)
  const reader = response.body?.getReader()
  await reader?.read()
  await reader?.cancel()
  for (;;) {
    const [entry] = await entriesOf(server, '&action=download')
    if (entry === undefined) continue
    t.match(entry, { outcome: 'ABORTED', address: '127.0.0.1', details: { count: 1 } })
    return
  }
})

t.test('who was refused for the role of the token is entered with what it asked for', async (t) => {
  const server = await startServer(t)
  const reader = await server.token('reader')
  await server.put('acme/audited/1.0', smallFile(), { token: reader })
  const [entry] = await entriesOf(server, '&action=refuse')
  t.match(entry, { outcome: 'FORBIDDEN', subject: 'acme/audited@1.0', address: '127.0.0.1' })
})
