import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startServer, type TestServer } from '../helpers/server.ts'
import { smallFile } from '../routes/wire.ts'
import { run } from './fixture.ts'

/** A server with one version, and what a command beside it is told of its folders. */
async function startPublished(t: Test) {
  const server = await startServer(t)
  t.equal((await server.put('acme/bert/1', smallFile())).status, 201)
  const env = {
    STRONGROOM_VAULT: join(server.folder, 'data/vault'),
    STRONGROOM_LEDGER: join(server.folder, 'data/ledger'),
  }
  const copy = join(server.folder, 'copies/strongroom.db')
  mkdirSync(join(server.folder, 'copies'))
  return { server, env, copy }
}

const blobsIn = ({ folder }: TestServer, where: string): readonly string[] =>
  readdirSync(join(folder, 'data/vault', where), { recursive: true, encoding: 'utf8' })
    .map((path) => path.replace(/^.*\//, ''))
    .filter((name) => name.length === 32)

t.test('what is restored serves again, and what it does not know is set aside once', async (t) => {
  const { server, env, copy } = await startPublished(t)
  const known = blobsIn(server, 'blobs')
  t.equal((await run(['backup', copy], env)).code, 0)
  t.equal((await server.put('acme/bert/2', smallFile(2))).status, 201, 'published since')
  const since = blobsIn(server, 'blobs').filter((id) => !known.includes(id))

  const running = await run(['restore', copy], env)
  t.equal(running.code, 1)
  t.match(running.stderr, /server has this ledger open/)
  await server.close()
  const there = await run(['restore', copy], env)
  t.equal(there.code, 1)
  t.match(there.stderr, /strongroom\.db is there already/)

  const lost = { ...env, STRONGROOM_LEDGER: join(server.folder, 'data/new-ledger') }
  const restored = await run(['restore', copy], lost)
  t.match(restored, { code: 0, stdout: /: 1 version, .*\n {2}audit head 3 / })
  t.match(restored.stderr, /the first start moves blobs/)
  t.match(await run(['restore', copy], lost), { code: 1 })

  const settings = { STRONGROOM_LEDGER: lost.STRONGROOM_LEDGER }
  const again = await startServer(t, settings, server.folder)
  t.equal((await again.request('/v1/checkpoints/acme/bert/1/files/model.safetensors')).status, 200)
  t.equal((await again.request('/v1/checkpoints/acme/bert/2')).status, 404)
  t.same(blobsIn(again, 'blobs'), known)
  t.same(blobsIn(again, 'quarantine'), since, 'moved, not removed')
  t.ok(
    again
      .log()
      .some(({ msg, quarantined }) => /restored ledger/.test(String(msg)) && quarantined === 1),
  )
  const { ledger } = again.strongroom
  const entries = await ledger.audit({ after: 3, limit: 10 })
  t.match(entries, [
    { action: 'sweep', outcome: 'ok', details: { restored: true, quarantined: 1 } },
    { action: 'server.start', details: { swept: { staged: 0, blobs: 0, quarantined: 1 } } },
  ])
  t.match(await ledger.verifyAudit(), { valid: true })
  t.equal(
    (await again.put('acme/bert/2', smallFile(2))).status,
    201,
    'publishing again is a way back',
  )
  await again.close()

  const orphan = join(server.folder, 'data/vault/blobs/00', '0'.repeat(32))
  writeFileSync(orphan, 'sealed, and the process was killed before the row')
  const third = await startServer(t, settings, server.folder)
  t.match(
    await third.strongroom.ledger.audit({ after: 0, limit: 10, action: 'server.start' }),
    [{}, {}, { details: { swept: { blobs: 1, quarantined: 0 } } }],
    'from then on a start sweeps as ever',
  )
  t.equal(blobsIn(third, 'blobs').includes('0'.repeat(32)), false)
})

t.test('restore takes nothing but a snapshot', async (t) => {
  const { server, env } = await startPublished(t)
  const elsewhere = { STRONGROOM_LEDGER: join(server.folder, 'elsewhere') }
  const text = join(server.folder, 'text')
  writeFileSync(text, 'mine')
  t.match(await run(['restore', text], elsewhere), { code: 1, stderr: /is no ledger's snapshot/ })
  t.match(await run(['restore', '/none'], elsewhere), { code: 2, stderr: /no such file/ })
  const live = join(env.STRONGROOM_LEDGER, 'strongroom.db')
  const { code, stderr } = await run(['restore', live, '--json'], elsewhere)
  t.equal(code, 1)
  t.match(JSON.parse(stderr), { code: 'LEDGER_REFUSED', detail: /for a server that writes/ })
})
