import t from 'tap'
import { startServer } from '../../helpers/server.ts'

const CARD = JSON.stringify({ repoType: 'model', content: '---\nlicense: [\n---\n' })

t.test('a card is validated for anybody, since some clients send no token', async (t) => {
  const { request } = await startServer(t)
  const answer = await request('/api/validate-yaml', { method: 'POST', body: CARD })
  t.equal(answer.status, 200)
  t.strictSame(await answer.json(), { errors: [], warnings: [] })
})

t.test('a card that is larger than a sidecar may be is refused', async (t) => {
  const { request } = await startServer(t, { STRONGROOM_MAX_SIDECAR_BYTES: '64KiB' })
  const body = Buffer.alloc(4 * 1024 * 1024, CARD)
  const answer = await request('/api/validate-yaml', { method: 'POST', body })
  t.equal(answer.status, 413)
  t.match(await answer.json(), { code: 'TOO_LARGE', limit: 1024 * 1024 })
})
