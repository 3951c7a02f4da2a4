import { chmodSync, mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startServer } from '../helpers/server.ts'
import { blobsOf, read, verdict, weights, whereInVault } from './hostile.ts'

t.test('a server doesn’t start on folders that break its promise', async (t) => {
  const folder = t.testdir({ vault: {}, ledger: {} })
  chmodSync(join(folder, 'vault'), 0o700)
  chmodSync(join(folder, 'ledger'), 0o700)
  mkdirSync(join(folder, 'vault/hidden'))
  symlinkSync(join(folder, 'vault/hidden'), join(folder, 'link'))
  symlinkSync(join(folder, 'vault'), join(folder, 'vault-link'))
  const start = (vault: string, ledger: string): Promise<unknown> =>
    startServer(
      t,
      { STRONGROOM_VAULT: join(folder, vault), STRONGROOM_LEDGER: join(folder, ledger) },
      folder,
    )
  const refused = { name: 'FoldersRefused' }
  await t.rejects(start('vault', 'vault/hidden'), refused, 'the ledger inside the vault')
  await t.rejects(start('vault', 'link'), refused, 'the same behind a link')
  await t.rejects(start('vault-link', 'vault/hidden'), refused, 'the vault behind a link')
  await t.rejects(start('vault', 'vault'), refused, 'one for both')
  await t.rejects(start('vault', 'ledger/../vault/hidden'), refused, 'by a detour')
  await t.rejects(start('ledger/vault', 'ledger'), refused, 'the vault inside the ledger')
  for (const which of ['vault', 'ledger'])
    for (const mode of [0o770, 0o707, 0o722, 0o777]) {
      chmodSync(join(folder, which), mode)
      await t.rejects(start('vault', 'ledger'), refused, `${which} ${mode.toString(8)}`)
      chmodSync(join(folder, which), 0o700)
    }
})

t.test('one ledger has one server and one vault', async (t) => {
  const elsewhere = t.testdir()
  const folder = join(elsewhere, 'here')
  const first = await startServer(t, {}, folder)
  t.equal((await first.put('acme/a/1', weights(64))).status, 201)
  await t.rejects(startServer(t, {}, folder), { name: 'LedgerRefused' }, 'a second server')
  t.ok((await read(first, 'acme/a/1')).bytes, 'the first goes on')
  const path = await whereInVault(first, 'acme/a/1')
  await first.close()
  await t.rejects(
    startServer(t, { STRONGROOM_VAULT: join(elsewhere, 'empty-vault') }, folder),
    { name: 'FoldersRefused' },
    'another vault',
  )
  await t.rejects(
    startServer(t, { STRONGROOM_LEDGER: join(elsewhere, 'new-ledger') }, folder),
    { name: 'FoldersRefused' },
    'a new ledger for a full vault, whose blobs it would sweep',
  )
  const again = await startServer(t, {}, folder)
  t.ok((await read(again, 'acme/a/1')).bytes, 'nothing was swept')
  t.ok(path.endsWith(blobsOf(again)[0] ?? ''))
})

t.test('of publishes that race, one wins and no bytes are lost', async (t) => {
  const server = await startServer(t)
  const racers = Array.from({ length: 6 }, (_, i) => weights(1.5 * 1024 * 1024, i))
  const answers = await Promise.all(racers.map((bytes) => server.put('acme/race/1', bytes)))
  t.same(
    answers.map(({ status }) => status).sort(),
    [201, 409, 409, 409, 409, 409],
    'exactly one 201',
  )
  const winner = racers[answers.findIndex(({ status }) => status === 201)] ?? weights(64)
  t.ok((await read(server, 'acme/race/1')).bytes?.equals(winner))
  t.equal(blobsOf(server).length, 1, 'the others left nothing')

  const same = weights(1.5 * 1024 * 1024, 99)
  const twins = await Promise.all(
    ['a', 'b', 'c', 'a', 'b', 'c'].map((name) => server.put(`acme/${name}/1`, same)),
  )
  t.same(twins.map(({ status }) => status).sort(), [200, 200, 200, 201, 201, 201])
  for (const name of ['a', 'b', 'c'])
    t.ok((await read(server, `acme/${name}/1`)).bytes?.equals(same), name)
  t.equal(blobsOf(server).length, 2, 'and one copy for all of them')

  const readers = Promise.all(Array.from({ length: 10 }, () => read(server, 'acme/a/1')))
  const writers = Promise.all(Array.from({ length: 5 }, () => server.put('acme/a/1', same)))
  for (const { bytes } of await readers)
    t.ok(bytes?.equals(same), 'read while its copy is replaced')
  await writers
  const spelled = await Promise.all(
    ['Fresh/X', 'fresh/x', 'FRESH/X'].map((name, i) => server.put(`${name}/${i}`, weights(64, i))),
  )
  t.ok(
    spelled.every(({ status }) => status === 201 || status === 429),
    'spelled three ways at once',
  )
  t.match(await verdict(await server.request('/v1/audit/verify')), { valid: true })
})
