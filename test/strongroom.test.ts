import { join } from 'node:path'
import t from 'tap'
import { jsonOf, problem, smallFile } from './routes/wire.ts'
import { ADMIN, startServer } from './helpers/server.ts'

t.test('two ledgers never share a vault, at once or in turn', async (t) => {
  const folder = t.testdir()
  const first = await startServer(t, {}, folder)
  const other = { STRONGROOM_LEDGER: join(folder, 'data/other-ledger') }
  await t.rejects(startServer(t, other, folder), { message: /another server has this vault open/ })
  await first.close()

  // The vault is empty, so another ledger may have it; from then on the first one would sweep its blobs.
  const second = await startServer(t, other, folder)
  t.equal((await second.put('acme/kept/1', smallFile())).status, 201)
  await second.close()
  await t.rejects(startServer(t, {}, folder), { message: /belongs to another vault/ })
})

t.test(
  'one blob published by hash under many names is looked up once and stays within bounds',
  async (t) => {
    const server = await startServer(t, { STRONGROOM_MAX_FILES: '50' })
    const published = await jsonOf(
      await server.put('acme/held/1', smallFile(1, { note: 'x'.repeat(900_000) })),
    )
    const [{ sha256 } = { sha256: '' }] = published['files'] as { sha256: string }[]
    const publish = (version: string, count: number): Promise<Response> =>
      server.request(`/v1/checkpoints/acme/held/${version}`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${ADMIN}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify({
          files: Array.from({ length: count }, (_, i) => ({ path: `${i}.safetensors`, sha256 })),
        }),
      })
    t.equal((await publish('2', 1)).status, 201)
    await problem(t, await publish('3', 2), 422, 'METADATA_REFUSED', { rule: 'max_metadata_bytes' })
    await problem(t, await publish('4', 51), 400, 'INVALID_REQUEST')
  },
)
