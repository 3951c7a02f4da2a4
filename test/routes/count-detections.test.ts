import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { ADMIN } from '../helpers/server.ts'
import { startDetecting } from './detecting.ts'

t.setTimeout(120_000)

const { post, request, token, strongroom } = await startDetecting(t)

/** What was counted, by `surface outcome slot`. */
async function counted(): Promise<Record<string, number>> {
  const metrics = await strongroom.metrics.registry.metrics()
  const line =
    /^strongroom_detect_requests_total\{surface="(.+)",outcome="(.+)",slot="(.+)"\} (\d+)$/gm
  return Object.fromEntries(
    [...metrics.matchAll(line)].map(([, surface, outcome, slot, count]) => [
      [surface, outcome, slot].join(' '),
      Number(count),
    ]),
  )
}
const total = async (): Promise<number> =>
  Object.values(await counted()).reduce((sum, each) => sum + each, 0)

async function untilCounted(requests: number): Promise<Record<string, number>> {
  while ((await total()) < requests) await setTimeout(20)
  return counted()
}

t.test('each request is counted once, whoever refused it', async (t) => {
  await post('/detect', { text: 'x' })
  await post('/detect', { text: 'x' })
  await post('/detect-pii', { text: 5 })
  await post('/detect', { text: 'x'.repeat(10_001) })
  await post('/detect', '{')
  await post('/analyze', { text: 'x', language: 'tlh' })
  await post('/analyze', { text: 'x', language: 'en' }, await token('reader'))
  await request('/detect', { token: undefined, method: 'POST' })
  await request('/detect', { token: ADMIN, method: 'POST', body: 'x' })
  await post('/detect', ''.padEnd(9_000_000))
  await request('/detect/activations', { token: ADMIN, method: 'POST', body: 'PK' })
  await request('/detect/models')
  await request('/recognizers')
  t.strictSame(await untilCounted(11), {
    'detect ok primary': 2,
    'detect-pii INVALID_REQUEST none': 1,
    'detect TOO_LARGE primary': 1,
    'detect INVALID_REQUEST none': 1,
    'analyze INVALID_REQUEST primary': 1,
    'analyze FORBIDDEN none': 1,
    'detect UNAUTHENTICATED none': 1,
    'detect UNSUPPORTED_MEDIA_TYPE none': 1,
    'detect TOO_LARGE none': 1,
    'activations INVALID_SAFETENSORS none': 1,
  })
})

t.test('one whose caller hung up is counted too', async (t) => {
  const before = await total()
  const hangUp = new AbortController()
  const much = request('/detect', {
    token: ADMIN,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ texts: Array<string>(64).fill('Anna 5 '.repeat(1428)) }),
    signal: hangUp.signal,
  }).catch((error: unknown) => error)
  const queued = /^strongroom_detect_queued_texts 64$/m
  while (!queued.test(await strongroom.metrics.registry.metrics())) await setTimeout(20)
  hangUp.abort()
  await much
  t.match(await untilCounted(before + 1), { 'detect ABORTED primary': 1 })
})
