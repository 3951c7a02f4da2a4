import t from 'tap'
import { MIB, staged, weights as someWeights } from '../../attacks/hostile.ts'
import { ADMIN, startServer } from '../../helpers/server.ts'
import { type Json, jsonOf, smallFile } from '../wire.ts'
import { auditOf, header, lfsLine, PICKLE, pushing, sha256 } from './pushing.ts'
import { refusal } from './repository.ts'
import { hashOf, rawXorb, shardOf, xorbOf } from './xet.ts'

const server = await startServer(t)
const { request, token, url } = server
const secret = await token('writer', 'acme/*')
const writer = pushing(server, secret)
await writer.create('acme/bert')

interface Session {
  readonly accessToken: string
  readonly casUrl: string
  readonly exp: number
}
async function sessionFor(by = writer, repo = 'acme/bert'): Promise<Session> {
  const answer = await by.send('GET', `/api/models/${repo}/xet-write-token/main`)
  if (!answer.ok) throw new Error(await answer.text())
  return (await answer.json()) as Session
}
const post = (session: Session, path: string, body: Uint8Array): Promise<Response> =>
  fetch(`${session.casUrl}/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${session.accessToken}` },
    body: Buffer.from(body),
  })
const putXorb = (session: Session, name: number, xorb: Uint8Array): Promise<Response> =>
  post(session, `v1/xorbs/default/${hashOf(name)}`, xorb)

t.test('a session has an address of its own and a token for it', async (t) => {
  const answer = await writer.send('GET', '/api/models/acme/bert/xet-write-token/main')
  t.equal(answer.headers.get('x-xet-hash'), null)
  const [one, two] = [(await answer.json()) as Session, await sessionFor()]
  t.match(one.casUrl, RegExp(`^${url}/cas/[0-9a-f]{32}$`))
  t.not(one.casUrl, two.casUrl, 'or clients wouldn’t send what they sent before')
  t.ok(one.exp > Date.now() / 1000)
  for (const [path, code] of [
    ['/api/models/acme/bert/xet-write-token/nowhere', 'RevisionNotFound'],
    ['/api/models/acme/none/xet-write-token/main', 'RepoNotFound'],
  ] as const)
    await refusal(t, await writer.send('GET', path), 404, code, 'NOT_FOUND')
  for (const [role, scope] of [
    ['reader', '*'],
    ['auditor', '*'],
    ['detector', '*'],
    ['writer', 'other/*'],
  ] as const)
    for (const repo of ['acme/bert', 'acme/none']) {
      const by = pushing(server, await token(role, scope))
      const refused = await by.send('GET', `/api/models/${repo}/xet-write-token/main`)
      await refusal(t, refused, 403, null, 'FORBIDDEN')
    }
})

t.test('files are put together from xorbs, judged, and committed as any other', async (t) => {
  const session = await sessionFor()
  const bytes = someWeights(300_000)
  const pieces = [
    bytes.subarray(0, 100_000),
    bytes.subarray(100_000, 200_000),
    bytes.subarray(200_000),
  ]
  const first = rawXorb(pieces.slice(0, 2))
  t.strictSame(await jsonOf(await putXorb(session, 1, first)), { was_inserted: true })
  t.strictSame(await jsonOf(await putXorb(session, 1, first)), { was_inserted: false })
  await putXorb(session, 2, rawXorb(pieces.slice(2)))
  const shard = shardOf([
    {
      sha256: sha256(bytes),
      terms: [
        { xorb: 1, begin: 0, end: 2, bytes: 200_000 },
        { xorb: 2, begin: 0, end: 1, bytes: bytes.length - 200_000 },
      ],
    },
  ])
  const answer = await post(session, 'v1/shards', shard)
  t.equal(answer.status, 200)
  t.strictSame(await jsonOf(answer), { result: 1 })
  const oid = sha256(bytes)
  t.notOk((await writer.placeOf('acme/bert', bytes)).actions, 'it counts as uploaded')
  const lines = [header(), lfsLine('model.safetensors', oid)]
  const commit = await writer.committed('acme/bert', lines)
  const read = await writer.send('GET', `/acme/bert/resolve/${commit}/model.safetensors`)
  t.equal(read.headers.get('x-xet-hash'), null)
  t.ok(Buffer.from(await read.arrayBuffer()).equals(bytes))
  t.strictSame(staged(server), [], 'and its xorbs are gone')
})

t.test('all three ways in which clients send shards are understood', async (t) => {
  for (const [i, path] of ['v1/shards', 'shards', 'v2/shards'].entries()) {
    const session = await sessionFor()
    const bytes = smallFile(20 + i)
    await putXorb(session, 1, rawXorb([bytes]))
    const term = { xorb: 1, begin: 0, end: 1, bytes: bytes.length }
    const answer = await post(session, path, shardOf([{ sha256: sha256(bytes), terms: [term] }]))
    t.equal(answer.status, 200)
    t.match(await answer.text(), path === 'v2/shards' ? '{"type":"result"}\n' : '{"result":1}')
    t.notOk((await writer.placeOf('acme/bert', bytes)).actions)
  }
})

t.test('what clients ask for besides is not there', async (t) => {
  const { casUrl, accessToken } = await sessionFor()
  const headers = { authorization: `Bearer ${accessToken}` }
  for (const [method, path] of [
    ['GET', `v1/chunks/default/${hashOf(1)}`],
    ['POST', `v1/xorb-grants/default/${hashOf(1)}`],
    ['POST', 'v1/telemetry'],
  ] as const)
    t.equal((await fetch(`${casUrl}/${path}`, { method, headers })).status, 404, path)
})

t.test('only the token of a session opens it', async (t) => {
  const session = await sessionFor()
  const xorb = rawXorb([smallFile(1)])
  const place = await writer.placeOf('acme/bert', smallFile(200))
  const [grant = ''] = (place.actions?.upload.href ?? '').split('/').slice(-1)
  const { accessToken } = session
  for (const [what, wrong] of [
    ['none', ''],
    ['the caller’s own', secret],
    ['an admin’s', ADMIN],
    ['of an LFS upload', grant],
    ['cut', accessToken.slice(0, -1)],
    ['changed', `${accessToken.slice(0, -1)}${accessToken.endsWith('A') ? 'E' : 'A'}`],
  ] as const)
    for (const path of [`v1/xorbs/default/${hashOf(1)}`, 'v1/shards', 'v2/shards'])
      t.ok(
        await refusal(
          t,
          await post({ ...session, accessToken: wrong }, path, xorb),
          401,
          null,
          'UNAUTHENTICATED',
        ),
        what,
      )
  for (const nonce of ['x', '..', 'A'.repeat(32), '0'.repeat(31)]) {
    const elsewhere = { ...session, casUrl: `${url}/cas/${encodeURIComponent(nonce)}` }
    t.equal((await putXorb(elsewhere, 1, xorb)).status, 404, nonce)
  }
  for (const name of ['x', 'A'.repeat(64), '0'.repeat(63)])
    t.equal((await post(session, `v1/xorbs/default/${name}`, xorb)).status, 400, name)
})

t.test('a session ends with its time and with its caller’s token', async (t) => {
  const brief = await startServer(t, { STRONGROOM_UPLOAD_GRANT_MS: '100' })
  const there = pushing(brief)
  await there.create('acme/bert')
  const session = await sessionFor(there)
  let answer = await putXorb(session, 1, PICKLE)
  while (answer.status === 400) answer = await putXorb(session, 1, PICKLE)
  await refusal(t, answer, 401, null, 'UNAUTHENTICATED')

  const ended = await token('writer', 'acme/*')
  const open = await sessionFor(pushing(server, ended))
  const { id } = await jsonOf(await request('/v1/whoami', { token: ended }))
  await request(`/v1/tokens/${String(id)}`, { token: ADMIN, method: 'DELETE' })
  const late = await putXorb(open, 1, rawXorb([smallFile(1)]))
  await refusal(t, late, 401, null, 'UNAUTHENTICATED')
})

t.test('what another token sent to a session is in no other', async (t) => {
  const mine = await sessionFor()
  const bytes = smallFile(30)
  await putXorb(mine, 1, rawXorb([bytes]))
  const other = await sessionFor(pushing(server, await token('writer', 'acme/*')))
  const shard = shardOf([
    { sha256: sha256(bytes), terms: [{ xorb: 1, begin: 0, end: 1, bytes: bytes.length }] },
  ])
  for (const session of [other, { ...other, casUrl: mine.casUrl }, await sessionFor()]) {
    const answer = await post(session, 'v1/shards', shard)
    const told = await refusal(t, answer, 400, null, 'INVALID_REQUEST')
    t.match(told, { error: /xorb that was not uploaded/ })
  }
  t.equal((await post(mine, 'v1/shards', shard)).status, 200)
})

t.test('a file that isn’t what it should be is refused, and the commit says why', async (t) => {
  const session = await sessionFor()
  await putXorb(session, 1, rawXorb([PICKLE]))
  const shard = shardOf([
    { sha256: sha256(PICKLE), terms: [{ xorb: 1, begin: 0, end: 1, bytes: PICKLE.length }] },
  ])
  const old = await refusal(
    t,
    await post(session, 'v1/shards', shard),
    422,
    null,
    'INVALID_SAFETENSORS',
  )
  t.match(old, { looks_like: 'pickle' })
  const framed = await post(session, 'v2/shards', shard)
  t.equal(framed.status, 200)
  const frame = JSON.parse(await framed.text()) as Json
  t.match(frame, { type: 'error', message: /pickle/, retryable: false })
  const commit = await writer.commit('acme/bert', [
    header(),
    lfsLine('model.safetensors', sha256(PICKLE)),
  ])
  t.match(await refusal(t, commit, 400, null, 'INVALID_REQUEST'), {
    error: /model\.safetensors: .*pickle/,
  })
  const other = smallFile(50)
  await putXorb(session, 2, rawXorb([other]))
  const lie = shardOf([
    {
      sha256: sha256(smallFile(51)),
      terms: [{ xorb: 2, begin: 0, end: 1, bytes: other.length }],
    },
  ])
  await refusal(t, await post(session, 'v1/shards', lie), 422, null, 'DIGEST_MISMATCH')
  const entries = await auditOf(server, 'refuse')
  t.ok(
    entries.some(
      ({ subject, details }) =>
        subject === 'acme/bert@xet' && (details as Json)['looks_like'] === 'pickle',
    ),
  )
})

t.test('xorbs and shards that can’t be are refused, and nothing of them stays', async (t) => {
  const session = await sessionFor()
  const before = staged(server).length
  const bomb = xorbOf(
    Array.from({ length: 600 }, () => ({ scheme: 1, rawBytes: 128 * 1024, data: Buffer.of(1) })),
  )
  const truncated = rawXorb([smallFile(1)]).subarray(0, -1)
  for (const [what, xorb] of [
    ['unpacks to more than 64 MiB', bomb],
    ['cut', truncated],
    ['empty', Buffer.of()],
    ['a pickle', PICKLE],
    ['another scheme', xorbOf([{ scheme: 7, rawBytes: 4, data: Buffer.of(1, 2, 3, 4) }])],
    [
      'many chunks',
      xorbOf(Array.from({ length: 9000 }, () => ({ scheme: 0, rawBytes: 1, data: Buffer.of(1) }))),
    ],
  ] as const)
    t.ok(await refusal(t, await putXorb(session, 3, xorb), 400, null, 'INVALID_REQUEST'), what)
  const long = await fetch(`${session.casUrl}/v1/xorbs/default/${hashOf(3)}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${session.accessToken}` },
    body: Buffer.alloc(66 * MIB),
  })
  await refusal(t, long, 413, null, 'TOO_LARGE')
  t.equal(staged(server).length, before)

  const bytes = smallFile(40)
  await putXorb(session, 1, rawXorb([bytes]))
  // An LZ4 frame of nothing, though the chunk's header says that it is the whole file.
  const empty = Buffer.from('04224d184040c000000000', 'hex')
  await putXorb(session, 2, xorbOf([{ scheme: 1, rawBytes: bytes.length, data: empty }]))
  const file = (terms: Parameters<typeof shardOf>[0][number]['terms']) =>
    shardOf([{ sha256: sha256(bytes), terms }])
  const whole = { xorb: 1, begin: 0, end: 1, bytes: bytes.length }
  for (const [what, shard] of [
    ['no shard', Buffer.from('HFRepoMetaData')],
    ['cut', file([whole]).subarray(0, -10)],
    ['an unknown xorb', file([{ ...whole, xorb: 9 }])],
    ['chunks beyond the last', file([{ ...whole, end: 2, bytes: bytes.length + 1 }])],
    ['a wrong length', file([{ ...whole, bytes: bytes.length - 1 }])],
    ['no chunks', file([{ ...whole, end: 0 }])],
    ['a chunk that lies', file([{ ...whole, xorb: 2 }])],
    ['without a SHA-256', shardOf([{ sha256: undefined, terms: [whole] }])],
  ] as const)
    t.ok(
      await refusal(t, await post(session, 'v1/shards', shard), 400, null, 'INVALID_REQUEST'),
      what,
    )
  const twice = await post(session, 'v1/shards', file([whole, whole]))
  await refusal(t, twice, 422, null, 'INVALID_SAFETENSORS')
  t.ok((await writer.placeOf('acme/bert', bytes)).actions, 'nothing was uploaded by any of it')
  t.equal((await post(session, 'v1/shards', file([whole]))).status, 200, 'until it is right')
})

t.test('a shard that repeats a chunk for terabytes finds no room', async (t) => {
  const session = await sessionFor()
  const chunk = Buffer.alloc(128 * 1024)
  await putXorb(session, 1, rawXorb(Array.from({ length: 512 }, () => chunk)))
  const term = { xorb: 1, begin: 0, end: 512, bytes: 64 * MIB }
  const shard = shardOf([{ sha256: '1'.repeat(64), terms: [term], times: 400_000 }])
  const answer = await post(session, 'v1/shards', shard)
  await refusal(t, answer, 507, null, 'INSUFFICIENT_STORAGE')
})

t.test('what is known of xorbs takes a memory that is set aside for it', async (t) => {
  const small = await startServer(t, { STRONGROOM_XET_MEMORY_BYTES: '1MiB' })
  const there = pushing(small)
  await there.create('acme/bert')
  const session = await sessionFor(there)
  const tiny = xorbOf(
    Array.from({ length: 8192 }, () => ({ scheme: 0, rawBytes: 1, data: Buffer.of(1) })),
  )
  const statuses: number[] = []
  for (let i = 0; i < 20; i++) statuses.push((await putXorb(session, i, tiny)).status)
  t.strictSame([...new Set(statuses)], [200, 429])
  t.equal(staged(small).length, statuses.filter((status) => status === 200).length)
  const log = JSON.stringify(small.log())
  t.notMatch(log, session.accessToken.slice(0, 40))
})
