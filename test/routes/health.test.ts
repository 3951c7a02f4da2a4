import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import packageJson from '../../package.json' with { type: 'json' }
import { ADMIN, startServer } from '../helpers/server.ts'
import { jsonOf, problem, smallFile } from './wire.ts'

t.test('the process, its readiness and its version are told to anyone', async (t) => {
  const { request } = await startServer(t)
  const open = { token: undefined }
  t.equal((await request('/livez', open)).status, 200)
  t.equal((await request('/readyz', open)).status, 200)
  const { version } = packageJson
  t.strictSame(await jsonOf(await request('/health', open)), { status: 'healthy', version })
})

t.test('a probe may ask by HEAD', async (t) => {
  const { request } = await startServer(t)
  for (const path of ['/livez', '/readyz', '/health']) {
    t.equal((await request(path, { method: 'HEAD' })).status, 200, path)
  }
})

t.test('a server without its vault is alive, and not ready', async (t) => {
  const { request, folder } = await startServer(t)
  rmSync(join(folder, 'data/vault'), { recursive: true })
  t.equal((await request('/livez')).status, 200)
  const { failing } = await problem(t, await request('/readyz'), 503, 'NOT_READY')
  t.ok((failing as string[]).includes('vault'))
})

t.test('metrics count what happened, by route and never by name', async (t) => {
  const { request, put } = await startServer(t)
  await put('acme/counted/1.0', smallFile())
  await put('acme/counted/1.1', Buffer.from('80027d71002e', 'hex'))
  await request('/v1/checkpoints/acme/counted/1.0/files/model.safetensors')
  const response = await request('/metrics')
  const text = await response.text()
  t.match(response.headers.get('content-type'), /^text\/plain/)
  const route = 'route="/v1/checkpoints/:owner/:name/:version"'
  t.match(text, `strongroom_http_requests_total{method="PUT",${route},status="201"} 1`)
  t.match(text, 'strongroom_publishes_total{outcome="created"} 1')
  t.match(text, 'code="INVALID_SAFETENSORS",reason="not_safetensors"')
  t.match(text, `strongroom_sent_bytes_total ${smallFile().length}`)
  t.notMatch(text, /acme|counted|[0-9a-f]{64}/)
  t.notMatch(text, ADMIN)
})

t.test('metrics are open where the operator says so', async (t) => {
  const { request } = await startServer(t, { STRONGROOM_METRICS_PUBLIC: '1' })
  t.equal((await request('/metrics', { token: undefined })).status, 200)
})
