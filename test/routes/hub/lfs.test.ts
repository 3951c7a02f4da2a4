import { createHmac, randomBytes } from 'node:crypto'
import t from 'tap'
import { blobsOf, call, MIB, shout, staged, weights as someWeights } from '../../attacks/hostile.ts'
import { startServer } from '../../helpers/server.ts'
import { type Json, jsonOf, smallFile } from '../wire.ts'
import { auditOf, header, lfsLine, PICKLE, type Place, pushing, putTo, sha256 } from './pushing.ts'
import { refusal } from './repository.ts'

const server = await startServer(t, { STRONGROOM_UPLOAD_PART_BYTES: '1MiB' })
const { request, token, url } = server
const secret = await token('writer', 'acme/*')
const writer = pushing(server, secret)
const other = pushing(server, await token('writer', 'acme/*'))
await writer.create('acme/bert')

const hrefOf = ({ actions }: Place): string => actions?.upload.href ?? 'no upload is asked for'
const verify = (oid: string, size: number, by = writer): Promise<Response> =>
  by.send('POST', '/api/models/acme/bert/lfs/verify', { oid, size })

t.test('an object is uploaded to an address of its own, and is held from then on', async (t) => {
  const bytes = smallFile(1)
  const oid = sha256(bytes)
  const answer = await writer.batch('acme/bert', [{ oid, size: bytes.length }])
  t.equal(answer.status, 200)
  t.match(answer.headers.get('content-type'), /^application\/vnd\.git-lfs\+json/)
  const place = await writer.placeOf('acme/bert', bytes)
  t.match(await jsonOf(answer), {
    transfer: 'basic',
    objects: [
      {
        oid,
        size: bytes.length,
        actions: {
          upload: { href: RegExp(`^${url}/api/lfs/object/[^/]+$`) },
          verify: { href: `${url}/api/models/acme/bert/lfs/verify` },
        },
      },
    ],
  })
  const notYet = await verify(oid, bytes.length)
  await refusal(t, notYet, 404, null, 'NOT_FOUND')
  const put = await putTo(hrefOf(place), bytes)
  t.equal(put.status, 200)
  t.strictSame(await jsonOf(put), {})
  t.equal((await verify(oid, bytes.length)).status, 200)
  t.equal((await verify(oid, bytes.length + 1)).status, 404, 'with its size')
  t.strictSame(await writer.placeOf('acme/bert', bytes), { oid, size: bytes.length })
})

t.test('an address is good again for the same bytes, and for no others', async (t) => {
  const bytes = smallFile(2)
  const href = hrefOf(await writer.placeOf('acme/bert', bytes))
  t.equal((await putTo(href, bytes)).status, 200)
  t.equal((await putTo(href, bytes)).status, 200)
  const before = blobsOf(server)
  for (const wrong of [smallFile(3), smallFile(2).fill(9, -1), PICKLE, Buffer.of()])
    await refusal(t, await putTo(href, wrong), 422, null, 'DIGEST_MISMATCH')
  const long = await putTo(href, Buffer.concat([bytes, Buffer.of(0)]))
  await refusal(t, long, 413, null, 'TOO_LARGE')
  t.strictSame(blobsOf(server), before)
})

t.test('other bytes than were announced are refused', async (t) => {
  const bytes = smallFile(4)
  const href = hrefOf(await writer.placeOf('acme/bert', bytes))
  await refusal(t, await putTo(href, smallFile(5)), 422, null, 'DIGEST_MISMATCH')
  const pickle = await refusal(t, await putTo(href, PICKLE), 422, null, 'INVALID_SAFETENSORS')
  t.match(pickle, { looks_like: 'pickle', error: /pickle/ })
  const cut = await putTo(href, bytes.subarray(0, -1))
  await refusal(t, cut, 422, null, 'INVALID_SAFETENSORS')
  const chunked = await fetch(href, {
    method: 'PUT',
    body: ReadableStream.from([bytes, Buffer.of(0)]),
    duplex: 'half',
  })
  await refusal(t, chunked, 422, null, 'INVALID_SAFETENSORS')
  t.equal((await verify(sha256(bytes), bytes.length)).status, 404)
  t.strictSame(staged(server), [])
  const entries = await auditOf(server, 'refuse')
  t.ok(
    entries.some(
      ({ outcome, details }) =>
        outcome === 'INVALID_SAFETENSORS' && (details as Json)['looks_like'] === 'pickle',
    ),
  )
})

t.test('addresses are good for what they say, as they were given, and nothing else', async (t) => {
  const bytes = smallFile(6)
  const href = hrefOf(await writer.placeOf('acme/bert', bytes))
  const [grant = ''] = href.split('/').slice(-1)
  const [text = '', mac = ''] = grant.split('.')
  const fields = JSON.parse(Buffer.from(text, 'base64url').toString()) as unknown[]
  const forged = Buffer.from(
    JSON.stringify(fields.map((field) => (field === 'acme' ? 'other' : field))),
  ).toString('base64url')
  const own = createHmac('sha256', randomBytes(32)).update(text).digest('base64url')
  const place = `${url}/api/lfs/object`
  for (const [what, wrong] of [
    ['another object in it', `${place}/${forged}.${mac}`],
    ['signed by someone else', `${place}/${text}.${own}`],
    ['cut', href.slice(0, -1)],
    ['no signature', `${place}/${text}.`],
    ['nothing of it', `${place}/x`],
    ['more of it', `${href}A`],
    [
      'a bit of the signature',
      `${place}/${text}.${mac.startsWith('A') ? 'B' : 'A'}${mac.slice(1)}`,
    ],
    ['as a part', href.replace('/object/', '/part/')],
  ] as const)
    t.match(
      await refusal(t, await putTo(wrong, bytes), 403, null, 'FORBIDDEN'),
      { error: /ask for another/ },
      what,
    )
  const complete = await fetch(href.replace('/object/', '/complete/'), { method: 'POST' })
  await refusal(t, complete, 403, null, 'FORBIDDEN')
  t.equal((await putTo(href, bytes)).status, 200, 'as it was given it is good')
})

t.test('an address ends with its time, its token and its server', async (t) => {
  const bytes = smallFile(7)
  const brief = await startServer(t, { STRONGROOM_UPLOAD_GRANT_MS: '100' })
  const there = pushing(brief)
  await there.create('acme/bert')
  const href = hrefOf(await there.placeOf('acme/bert', bytes))
  let answer = await putTo(href, PICKLE)
  while (answer.status === 422) answer = await putTo(href, PICKLE)
  await refusal(t, answer, 403, null, 'FORBIDDEN')

  const here = hrefOf(await writer.placeOf('acme/bert', bytes))
  const elsewhere = await putTo(here.replace(url, brief.url), bytes)
  await refusal(t, elsewhere, 403, null, 'FORBIDDEN')

  const ended = await token('writer', 'acme/*')
  const revoked = hrefOf(await pushing(server, ended).placeOf('acme/bert', bytes))
  const { id } = await jsonOf(await request('/v1/whoami', { token: ended }))
  await request(`/v1/tokens/${String(id)}`, { ...asAdmin, method: 'DELETE' })
  await refusal(t, await putTo(revoked, bytes), 401, null, 'UNAUTHENTICATED')
  t.equal((await verify(sha256(bytes), bytes.length)).status, 404)
})
const asAdmin = { token: 'sr_the-admin-token-of-the-tests-0123456789' }

t.test('what another token uploaded has to be uploaded', async (t) => {
  const bytes = smallFile(8)
  const oid = await writer.upload('acme/bert', bytes)
  t.ok((await other.placeOf('acme/bert', bytes)).actions, 'though it is here')
  t.equal((await verify(oid, bytes.length, other)).status, 404)
  const lines = [header(), lfsLine('model.safetensors', oid)]
  const stolen = await refusal(
    t,
    await other.commit('acme/bert', lines),
    400,
    null,
    'INVALID_REQUEST',
  )
  t.match(stolen, { error: /model\.safetensors: its content, [0-9a-f]{64}, was never uploaded/ })
  await writer.create('acme/second')
  t.ok((await writer.placeOf('acme/second', bytes)).actions, 'nor is it another repository’s')
  t.equal((await writer.commit('acme/second', lines)).status, 400)

  t.equal((await writer.commit('acme/bert', lines)).status, 200)
  t.notOk((await other.placeOf('acme/bert', bytes)).actions, 'a version is for all who may read it')
  const outside = pushing(server, await token('writer', 'far/*'))
  await outside.create('far/bert')
  t.ok((await outside.placeOf('far/bert', bytes)).actions, 'and for nobody else')
  const unseen = await refusal(
    t,
    await outside.commit('far/bert', lines),
    400,
    null,
    'INVALID_REQUEST',
  )
  t.match(unseen, { error: /was never uploaded/ })
})

t.test(
  'objects that can’t be are refused one by one, requests that can’t be as a whole',
  async (t) => {
    const bytes = smallFile(9)
    const limited = await startServer(t, { STRONGROOM_MAX_FILE_BYTES: '1000' })
    const there = pushing(limited)
    await there.create('acme/bert')
    const answer = await there.batch('acme/bert', [
      { oid: 'x', size: 1 },
      { oid: 'A'.repeat(64), size: 1 },
      { oid: sha256(bytes), size: 1001 },
      { oid: sha256(bytes), size: bytes.length },
    ])
    t.match(await jsonOf(answer), {
      objects: [
        { error: { code: 422 } },
        { error: { code: 422 } },
        { error: { code: 413 } },
        { actions: {} },
      ],
    })
    const path = '/acme/bert.git/info/lfs/objects/batch'
    const many = Array.from({ length: 1001 }, () => ({ oid: 'x', size: 1 }))
    for (const body of [
      { operation: 'download', objects: [] },
      { operation: 'upload' },
      { operation: 'upload', objects: [{ oid: 'x', size: -1 }] },
      { operation: 'upload', objects: many },
      'x',
    ])
      await refusal(t, await writer.send('POST', path, body), 400, null, 'INVALID_REQUEST')
    const huge = Array.from({ length: 101 }, () => ({ oid: sha256(bytes), size: 1e15 }))
    t.equal((await writer.batch('acme/bert', huge.slice(1))).status, 200)
    const parts = await refusal(t, await writer.batch('acme/bert', huge), 413, null, 'TOO_LARGE')
    t.match(parts, { limit: 10_000, error: /ask for fewer/ })
    const none = await writer.batch('acme/none', [])
    await refusal(t, none, 404, 'RepoNotFound', 'NOT_FOUND')
    for (const [role, scope] of [
      ['reader', 'acme/*'],
      ['auditor', '*'],
      ['detector', '*'],
      ['writer', 'far/*'],
    ] as const) {
      const by = pushing(server, await token(role, scope))
      for (const repo of ['acme/bert', 'acme/none'])
        await refusal(t, await by.batch(repo, []), 403, null, 'FORBIDDEN')
    }
  },
)

t.test('a large object comes in parts, in any order and as often as it takes', async (t) => {
  const bytes = someWeights(2.5 * MIB)
  const { oid, actions } = await writer.placeOf('acme/bert', bytes)
  const { chunk_size: size = '', ...parts } = actions?.upload.header ?? {}
  t.equal(size, String(MIB))
  t.strictSame(Object.keys(parts), ['00001', '00002', '00003'])
  const slice = (part: number): Uint8Array => bytes.subarray((part - 1) * MIB, part * MIB)
  const put = (part: number, body = slice(part)): Promise<Response> =>
    putTo(parts[String(part).padStart(5, '0')] ?? '', body)
  const complete = (body: Json = { oid, parts: [] }): Promise<Response> =>
    fetch(actions?.upload.href ?? '', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })

  const etags: unknown[] = []
  for (const part of [3, 1]) {
    const answer = await put(part)
    t.equal(answer.status, 200)
    etags.push(answer.headers.get('etag'))
  }
  t.equal(new Set(etags).size, 2)
  t.match(etags, [/^"[^"]+"$/, /^"[^"]+"$/])
  const early = await refusal(t, await complete(), 400, null, 'INVALID_REQUEST')
  t.match(early, { error: /parts/i })
  for (const [what, body] of [
    ['too short', slice(2).subarray(1)],
    ['nothing', Buffer.of()],
  ] as const)
    t.ok(await refusal(t, await put(2, body), 400, null, 'INVALID_REQUEST'), what)
  const long = await put(2, Buffer.concat([slice(2), Buffer.of(0)]))
  await refusal(t, long, 413, null, 'TOO_LARGE')
  const last = await put(3, slice(2))
  await refusal(t, last, 400, null, 'INVALID_REQUEST')
  const first = await put(1, Buffer.concat([PICKLE, slice(1).subarray(PICKLE.length)]))
  t.match(await refusal(t, first, 422, null, 'INVALID_SAFETENSORS'), { looks_like: 'pickle' })
  for (let i = 0; i < 2; i++) t.equal((await put(2)).status, 200)
  const done = await complete({ oid, parts: [{ partNumber: 1, etag: 'wrong' }] })
  t.equal(done.status, 200, 'etags say nothing that the hash doesn’t')
  t.equal((await complete()).status, 200, 'and once more')
  t.notOk((await writer.placeOf('acme/bert', bytes)).actions)
  t.strictSame(staged(server), [])
  const commit = await writer.committed('acme/bert', [header(), lfsLine('large.safetensors', oid)])
  const whole = await writer.send('GET', `/acme/bert/resolve/${commit}/large.safetensors`)
  t.ok(Buffer.from(await whole.arrayBuffer()).equals(bytes))
})

t.test('parts that don’t make what was announced are refused together, and go', async (t) => {
  const bytes = someWeights(1.5 * MIB, 2)
  const { actions } = await writer.placeOf('acme/bert', bytes)
  const [, ...hrefs] = Object.values(actions?.upload.header ?? {})
  t.equal((await putTo(hrefs[0] ?? '', bytes.subarray(0, MIB))).status, 200)
  const wrong = Buffer.from(bytes.subarray(MIB))
  wrong[0] = (wrong[0] ?? 0) ^ 1
  t.equal((await putTo(hrefs[1] ?? '', wrong)).status, 200)
  const complete = await fetch(actions?.upload.href ?? '', { method: 'POST' })
  await refusal(t, complete, 422, null, 'DIGEST_MISMATCH')
  t.strictSame(staged(server), [])
})

t.test('a body that says one length and has another, or breaks off, leaves nothing', async (t) => {
  const bytes = someWeights(64 * 1024, 3)
  const href = new URL(hrefOf(await writer.placeOf('acme/bert', bytes))).pathname
  const head = (...headers: readonly string[]): string =>
    [`PUT ${href} HTTP/1.1`, 'Host: x', ...headers, '', ''].join('\r\n')
  const length = (n: number): string => `Content-Length: ${n}`

  const broken = call(server)
  await broken.send(head(length(bytes.length)), bytes.subarray(0, 30_000))
  while (staged(server).length === 0) await fetch(`${url}/livez`)
  broken.hangUp()
  while (staged(server).length > 0) await fetch(`${url}/livez`)
  const long = call(server)
  await long.send(head(length(bytes.length + 1)))
  t.match(await long.until('\r\n\r\n'), /^HTTP\/1.1 413 /)
  long.hangUp()
  t.match(
    await shout(server, head(length(10), 'Connection: close'), bytes.subarray(0, 10)),
    /^HTTP\/1.1 422 /,
  )
  for (const both of [
    [length(5), 'Transfer-Encoding: chunked'],
    ['Content-Length: 5', 'Content-Length: 6'],
    ['Content-Length: -1'],
    ['Content-Length: 0x10'],
  ])
    t.match(await shout(server, head(...both), 'x'), /^HTTP\/1.1 400 /)
  const range = head(length(bytes.length), 'Content-Range: bytes 0-9/10', 'Connection: close')
  t.match(await shout(server, range, bytes), /^HTTP\/1.1 400 /)
  t.match(
    await shout(server, head(length(bytes.length), 'Connection: close'), bytes),
    /^HTTP\/1.1 200 /,
  )
  t.strictSame(staged(server), [])
})

t.test('a client that waits to be asked for its body is asked once it may send it', async (t) => {
  const bytes = smallFile(10)
  const href = hrefOf(await writer.placeOf('acme/bert', bytes))
  const head = (path: string): string =>
    [
      `PUT ${path} HTTP/1.1`,
      'Host: x',
      `Content-Length: ${bytes.length}`,
      'Expect: 100-continue',
      'Connection: close',
      '',
      '',
    ].join('\r\n')
  const path = new URL(href).pathname
  const waiting = call(server)
  await waiting.send(head(path))
  t.match(await waiting.until('\r\n\r\n'), /^HTTP\/1.1 100 /)
  await waiting.send(bytes)
  t.match((await waiting.closed).toString('latin1'), /HTTP\/1.1 200 /)
  t.match(await shout(server, head(`${path}x`)), /^HTTP\/1.1 403 /, 'and never where it may not')
})

t.test('no line of the log holds what opens anything', async (t) => {
  const bytes = smallFile(11)
  const place = await writer.placeOf('acme/bert', bytes)
  const [grant = ''] = hrefOf(place).split('/').slice(-1)
  await putTo(hrefOf(place), PICKLE)
  await putTo(`${hrefOf(place)}x`, PICKLE)
  await putTo(hrefOf(place), bytes)
  await writer.send('GET', '/api/models/acme/bert/xet-write-token/main')
  const log = JSON.stringify(server.log())
  t.notMatch(log, grant.slice(0, 40))
  t.notMatch(log, grant.split('.')[1] ?? grant)
  t.notMatch(log, secret)
  const audit = await (await request('/v1/audit?limit=1000')).text()
  t.notMatch(audit, grant.slice(0, 40))
})
