import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { ADMIN } from '../helpers/server.ts'
import { startDetecting, startReplica } from './detecting.ts'

t.setTimeout(120_000)

t.test('a server that only reads detects too', async (t) => {
  const replica = await startReplica(t, await startDetecting(t))
  while ((await replica.request('/readyz')).status !== 200) await setTimeout(50)
  for (const [path, body] of [
    ['/detect', { text: 'a@example.org' }],
    ['/detect-pii', { text: 'a@example.org' }],
    ['/analyze', { text: 'a@example.org', language: 'en' }],
  ] as const) {
    const answer = await replica.request(path, {
      token: ADMIN,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    t.equal(answer.status, 200, path)
    t.match(await answer.text(), /email/i)
  }
  const empty = { token: ADMIN, method: 'POST', body: '' }
  t.equal((await replica.request('/detect/activations', empty)).status, 422, 'judged by its body')
})
