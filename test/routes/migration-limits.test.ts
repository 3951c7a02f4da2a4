import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { GOOD } from '../../bench/fuzz-pickle/assembler.ts'
import { jsonOf, problem } from './wire.ts'

const server = await startServer(t, {
  STRONGROOM_MAX_MIGRATIONS: '1',
  STRONGROOM_MAX_UPLOADS: '1',
  // Less than a process takes to start.
  STRONGROOM_MIGRATION_DEADLINE_MS: '100',
  STRONGROOM_MAX_FILE_BYTES: '1MiB',
})

type Body = NonNullable<RequestInit['body']>
const post = (path: string, body: Body, init: object = {}): Promise<Response> =>
  server.request(path, { token: ADMIN, method: 'POST', body, ...init })
const staged = (): readonly string[] => readdirSync(join(server.folder, 'data/vault/staging'))
const checkpoint = Buffer.from(GOOD)

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(5)
}

t.test('what takes too long is refused, and never called clean', async (t) => {
  const refused = await post('/v1/migrate/acme/slow/1', checkpoint)
  const facts = { reason: 'limit', detail: /longer than 0\.1 s/, findings: { length: 0 } }
  await problem(t, refused, 422, 'MIGRATION_REFUSED', facts)
  t.match(await jsonOf(await post('/v1/scan', checkpoint)), {
    format: 'unknown',
    verdict: 'refused',
    notes: [/longer than 0\.1 s/],
    sha256: null,
  })
  t.strictSame(staged(), [])
})

t.test('a body beyond the limit is refused, announced or not', async (t) => {
  const large = Buffer.alloc(1024 ** 2 + 1)
  for (const path of ['/v1/migrate/acme/large/1', '/v1/scan']) {
    await problem(t, await post(path, large), 413, 'TOO_LARGE', { limit: 1024 ** 2 })
    const unannounced = new Blob([large]).stream()
    const streamed = await post(path, unannounced, { duplex: 'half' })
    await problem(t, streamed, 413, 'TOO_LARGE', { limit: 1024 ** 2 })
  }
  t.strictSame(staged(), [])
})

t.test('so many go on at once, and who hangs up leaves nothing behind', async (t) => {
  const { promise: held, resolve: letGo } = Promise.withResolvers<undefined>()
  async function* slowly() {
    yield checkpoint.subarray(0, 100)
    await held
    yield checkpoint.subarray(100)
  }
  const abort = new AbortController()
  const init = { duplex: 'half', signal: abort.signal }
  const first = post('/v1/scan', slowly(), init)
  await until(() => staged().length > 0)
  const second = await post('/v1/migrate/acme/second/1', checkpoint)
  await problem(t, second, 429, 'TOO_MANY_REQUESTS')
  t.equal(second.headers.get('retry-after'), '10')
  abort.abort()
  await t.rejects(first)
  letGo(undefined)
  await until(() => staged().length === 0)
  const last = await post('/v1/scan', checkpoint)
  t.equal(last.status, 200, 'the place is free again')
  await last.text()
})
