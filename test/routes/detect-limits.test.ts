import { request as requestHttp } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import type { Strongroom } from '../../src/strongroom.ts'
import { ADMIN, startServer, type TestServer } from '../helpers/server.ts'
import { startDetecting } from './detecting.ts'
import { exchange, type Json, jsonOf, problem } from './wire.ts'

t.setTimeout(120_000)

const { post, request, url, strongroom } = await startDetecting(t, {
  STRONGROOM_DETECT_QUEUE_TEXTS: '64',
})
const withDeadline = await startDetecting(t, { STRONGROOM_DETECT_DEADLINE_MS: '10' })

/** As much as one request may ask for: it keeps the detector busy for a while. */
const MUCH = { texts: Array<string>(64).fill('Anna 5 '.repeat(1428)) }

const askMuch = (request: TestServer['request'], signal: AbortSignal): Promise<unknown> =>
  request('/detect', {
    token: ADMIN,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(MUCH),
    signal,
  }).catch((error: unknown) => error)

const queued = async ({ metrics: { registry } }: Strongroom): Promise<number> => {
  const metrics = await registry.metrics()
  return Number(/^strongroom_detect_queued_texts (\d+)$/m.exec(metrics)?.[1])
}
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await setTimeout(20)
}

t.test('a text has at most 10,000 code points, however many units they are', async (t) => {
  const wide = '😀'.repeat(10_000)
  t.equal((await post('/detect', { text: wide })).status, 200)
  for (const body of [
    { text: `${wide}x` },
    { text: 'x'.repeat(10_001) },
    { texts: ['', `${wide}x`] },
  ])
    await problem(t, await post('/detect', body), 413, 'TOO_LARGE', { limit: 10_000 })
  await problem(t, await post('/detect-pii', { text: `${wide}x` }), 413, 'TOO_LARGE')
})

t.test('a request has at most 64 texts', async (t) => {
  t.equal((await post('/detect', { texts: Array<string>(64).fill('') })).status, 200)
  const more = await post('/detect', { texts: Array<string>(65).fill('') })
  await problem(t, more, 413, 'TOO_LARGE', { limit: 64 })
})

t.test('a body has at most 8 MiB, announced or not', async (t) => {
  const limit = 8 * 1024 * 1024
  const body = JSON.stringify({ text: '' }).padEnd(limit)
  t.equal((await post('/detect', body)).status, 200, 'exactly as much')
  await problem(t, await post('/detect', `${body} `), 413, 'TOO_LARGE', { limit })
  const chunked = await request('/detect', {
    token: ADMIN,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: new Blob([body, ' ']).stream(),
    duplex: 'half',
  })
  await problem(t, chunked, 413, 'TOO_LARGE', { limit })
})

t.test('a body that is too large isn’t asked for', async (t) => {
  const head = [
    'POST /detect HTTP/1.1',
    'host: x',
    `authorization: Bearer ${ADMIN}`,
    'content-type: application/json',
    'content-length: 9000000',
    'expect: 100-continue',
  ]
  const { status } = await exchange(url, `${head.join('\r\n')}\r\n\r\n`)
  t.equal(status, 413)
})

t.test('a body of countless values is refused before it is parsed', async (t) => {
  for (const body of [
    `[${'0,'.repeat(200_000)}0]`,
    '['.repeat(400_000),
    `{"text":"x",${Array.from({ length: 50_000 }, (_, i) => `"k${i}":0`).join()}}`,
  ])
    await problem(t, await post('/detect', body), 413, 'TOO_LARGE', { limit: 8256 })
  const inText = JSON.stringify({ text: '[{,:"\\'.repeat(1600) })
  t.equal((await post('/detect', inText)).status, 200, 'in a text they are text')
})

t.test('who comes while the queue is full is told when to come again', async (t) => {
  const hangUp = new AbortController()
  const much = askMuch(request, hangUp.signal)
  await until(async () => (await queued(strongroom)) === 64)
  const refused = await post('/detect', { text: 'x' })
  t.match(refused.headers.get('retry-after'), /^[1-9]\d*$/)
  await problem(t, refused, 429, 'TOO_MANY_REQUESTS')

  t.comment('and the place of who hangs up is free again')
  hangUp.abort()
  t.match(await much, { name: 'AbortError' })
  await until(async () => (await queued(strongroom)) === 0)
  t.equal((await post('/detect', { text: 'x' })).status, 200)
})

t.test('who hangs up while its body is on its way leaves nothing behind', async (t) => {
  const outgoing = requestHttp(`${url}/detect`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' },
  })
  outgoing.on('error', () => undefined)
  outgoing.write('{"text":"')
  await until(() => Promise.resolve(outgoing.socket?.bytesWritten !== undefined))
  outgoing.destroy()
  t.equal((await post('/detect', { text: 'x' })).status, 200)
})

t.test('what takes longer than it may is 504, and never an empty list', async (t) => {
  const answer = await withDeadline.post('/detect', MUCH)
  await problem(t, answer, 504, 'DEADLINE_EXCEEDED')
  const audit = await jsonOf(await withDeadline.request('/v1/audit?action=detect'))
  t.match((audit['items'] as readonly Json[]).at(-1), {
    outcome: 'DEADLINE_EXCEEDED',
    subject: 'acme/tiny@production',
  })
})

t.test('bodies held at once have a limit in all', async (t) => {
  const { post, strongroom, request } = await startDetecting(t, {
    STRONGROOM_MAX_DETECT_BODY_BYTES: '1MiB',
    STRONGROOM_DETECT_BODY_MEMORY_BYTES: '1MiB',
  })
  const hangUp = new AbortController()
  const much = askMuch(request, hangUp.signal)
  await until(async () => (await queued(strongroom)) === 64)
  const body = JSON.stringify({ text: '' }).padEnd(500_000)
  const refused = await post('/detect', body)
  t.ok(refused.headers.get('retry-after'))
  await problem(t, refused, 429, 'TOO_MANY_REQUESTS')
  t.equal((await post('/detect', { text: '' })).status, 200, 'a small one has room')
  hangUp.abort()
  await much
  await until(async () => (await post('/detect', body)).status === 200)
})

t.test('without a detector the answer is 503 and says why', async (t) => {
  const off = await startServer(t)
  const absent = await startServer(t, { STRONGROOM_DETECTOR: 'acme/none@production' })
  for (const [server, why] of [
    [off, 'off'],
    [absent, 'absent'],
  ] as const) {
    await until(async () => (await server.request('/readyz')).status === 200)
    const answer = await server.request('/detect', {
      token: ADMIN,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"text":"a@example.org"}',
    })
    await problem(t, answer, 503, 'DETECTOR_UNAVAILABLE', { why })
  }
  const { items } = await jsonOf(await absent.request('/detect/models'))
  t.match(items, [{ state: 'absent', ref: 'acme/none@production' }])
  t.strictSame(await jsonOf(await off.request('/detect/models')), { items: [] })
})
