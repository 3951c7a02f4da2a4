import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import {
  call,
  deface,
  fileUrl,
  head,
  MIB,
  read,
  verdict,
  weights,
  whereInVault,
} from './hostile.ts'

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t, { STRONGROOM_CACHE_BYTES: '16MiB' })

const BIG = 24 * MIB

t.test('damage that comes while a response runs cuts it off before its end', async (t) => {
  const bytes = weights(BIG, 1)
  t.equal((await server.put('acme/big/1', bytes)).status, 201)
  for (const ranged of ['', `Range: bytes=100-${bytes.length - 2}`]) {
    const path = await whereInVault(server, 'acme/big/1')
    const caller = call(server)
    await caller.send(head(`GET ${fileUrl('acme/big/1')}`, ...(ranged === '' ? [] : [ranged])))
    await caller.until('\r\n\r\n')
    caller.pause()
    deface(path, (all) => all.fill(0, all.length - 2 * MIB))
    caller.resume()
    const answer = await caller.closed
    const bodyAt = answer.indexOf('\r\n\r\n') + 4
    const body = answer.subarray(bodyAt)
    const [, length] = /content-length: (\d+)/i.exec(answer.toString('latin1', 0, bodyAt)) ?? []
    t.ok(body.length < Number(length), `${ranged}: ${body.length} of ${length ?? ''} bytes came`)
    const from = ranged === '' ? 0 : 100
    t.ok(body.equals(bytes.subarray(from, from + body.length)), 'and those that came are right')
    t.equal(
      (await read(server, 'acme/big/1')).code,
      'INTEGRITY_FAILURE',
      'from then on nothing comes',
    )
    t.equal((await server.put('acme/big/1', bytes)).status, 200)
    t.not(await whereInVault(server, 'acme/big/1'), path, 'a repair is a new copy')
  }
})

t.test('nothing is written into an answer that is under way', async (t) => {
  const bytes = weights(BIG, 2)
  t.equal((await server.put('acme/big2/1', bytes)).status, 201)
  const caller = call(server)
  await caller.send(head(`GET ${fileUrl('acme/big2/1')}`))
  await caller.until('\r\n\r\n')
  caller.pause()
  await caller.send('\0\0\0 this is no request\r\n\r\n')
  caller.resume()
  const answer = await caller.closed
  const body = answer.subarray(answer.indexOf('\r\n\r\n') + 4)
  t.ok(body.equals(bytes.subarray(0, body.length)), 'what came is the beginning of the file')
})

t.test(
  'the same bytes published again repair a blob, whether its damage is known or not',
  async (t) => {
    const server = await startServer(t)
    const bytes = weights(2 * MIB, 3)
    for (const known of [true, false]) {
      const ref = `acme/repair/${String(known)}`
      t.ok((await server.put(ref, bytes)).ok)
      const damaged = await whereInVault(server, ref)
      deface(damaged, (all) => all.fill(0, MIB))
      if (known) t.equal((await read(server, ref)).code ?? 'CUT_OFF', 'CUT_OFF')
      const again = await server.put('acme/elsewhere/1', bytes)
      t.ok(again.ok, 'published under another name')
      t.ok((await read(server, ref)).bytes?.equals(bytes), 'mends the first name as well')
      const verify = await server.request(`/v1/checkpoints/${ref}/verify`, {
        token: ADMIN,
        method: 'POST',
      })
      t.match(await verify.json(), { valid: true })
      t.notOk(existsSync(damaged), 'the damaged copy is out of reach')
      const quarantine = readdirSync(join(server.folder, 'data/vault/quarantine'))
      t.equal(quarantine.length, 1, 'and kept for a person if its damage was found')
    }
    const { items } = (await (await server.request('/v1/audit?action=repair')).json()) as {
      items: unknown[]
    }
    t.equal(items.length, 1, 'the known repair is in the audit log')
    t.match(await verdict(await server.request('/v1/checkpoints/acme/repair/none')), {
      status: 404,
    })
  },
)

t.test('bytes that hold stay where they are when they are published again', async (t) => {
  const server = await startServer(t)
  const bytes = weights(2 * MIB, 5)
  t.ok((await server.put('acme/stays/1', bytes)).ok)
  const place = await whereInVault(server, 'acme/stays/1')
  t.ok((await server.put('acme/stays/1', bytes)).ok, 'as the same version')
  t.ok((await server.put('acme/elsewhere/1', bytes)).ok, 'or as another')
  t.equal(await whereInVault(server, 'acme/elsewhere/1'), place)
  t.ok(existsSync(place), 'where replicas and backups look for them')
  t.same(readdirSync(join(server.folder, 'data/vault/staging')), [])
  const shelf = join(server.folder, 'data/vault/blobs')
  const blobs = readdirSync(shelf).flatMap((name) => readdirSync(join(shelf, name)))
  t.equal(blobs.length, 1, 'and the copy that was not needed is gone')
})
