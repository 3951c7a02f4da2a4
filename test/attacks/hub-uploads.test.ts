import { backupLedger } from '../../db/backup.ts'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { rawFile } from '../../bench/fuzz-safetensors/raw-file.ts'
import { startServer } from '../helpers/server.ts'
import { fileLine, header, lfsLine, ndjson, pushing, putTo, sha256 } from '../routes/hub/pushing.ts'
import { refusal } from '../routes/hub/repository.ts'
import { jsonOf, smallFile } from '../routes/wire.ts'
import { blobsOf, call, type Caller, head, MIB, shout, staged, weights } from './hostile.ts'

// What goes on between the uploads of a client and its commit: time, restarts, others.

t.test('an upload outlives a restart, and its address doesn’t', async (t) => {
  const before = await startServer(t)
  const writer = pushing(before)
  await writer.create('acme/bert')
  const oid = await writer.upload('acme/bert', smallFile(1))
  const other = smallFile(2)
  const href = (await writer.placeOf('acme/bert', other)).actions?.upload.href ?? ''
  await before.close()

  const after = await startServer(t, {}, before.folder)
  const again = pushing(after)
  t.notOk((await again.placeOf('acme/bert', smallFile(1))).actions, 'it need not come again')
  const late = await putTo(href.replace(before.url, after.url), other)
  await refusal(t, late, 403, null, 'FORBIDDEN')
  const lines = [header(), lfsLine('model.safetensors', oid)]
  t.equal((await again.commit('acme/bert', lines)).status, 200)
})

t.test('what nobody commits is gone from the vault when its time is over', async (t) => {
  const server = await startServer(t, { STRONGROOM_UPLOAD_KEPT_MS: '1000' })
  const writer = pushing(server)
  await writer.create('acme/bert')
  const kept = await writer.upload('acme/bert', smallFile(1))
  await writer.committed('acme/bert', [header(), lfsLine('model.safetensors', kept)])
  const oid = await writer.upload('acme/bert', smallFile(2))
  while (blobsOf(server).length > 1) await fetch(`${server.url}/livez`)
  t.ok((await writer.placeOf('acme/bert', smallFile(2))).actions)
  const late = await writer.commit('acme/bert', [header(), lfsLine('b.safetensors', oid)])
  await refusal(t, late, 400, null, 'INVALID_REQUEST')
  const read = await writer.send('GET', '/acme/bert/resolve/main/model.safetensors')
  t.equal(read.status, 200, 'what was committed stays')
})

t.test('parts that nobody completes go when their time is over', async (t) => {
  const settings = { STRONGROOM_UPLOAD_KEPT_MS: '1000', STRONGROOM_UPLOAD_PART_BYTES: '1MiB' }
  const server = await startServer(t, settings)
  const writer = pushing(server)
  await writer.create('acme/bert')
  const bytes = weights(1.5 * MIB)
  const { actions } = await writer.placeOf('acme/bert', bytes)
  const first = actions?.upload.header?.['00001'] ?? ''
  t.equal((await putTo(first, bytes.subarray(0, MIB))).status, 200)
  while (staged(server).length > 0) await fetch(`${server.url}/livez`)
  const complete = await fetch(actions?.upload.href ?? '', { method: 'POST' })
  await refusal(t, complete, 400, null, 'INVALID_REQUEST')
})

t.test('parts wait while the server is too busy to put them together', async (t) => {
  const server = await startServer(t, {
    STRONGROOM_UPLOAD_PART_BYTES: '4MiB',
    STRONGROOM_HEADER_MEMORY_BYTES: '100MiB',
  })
  const writer = pushing(server)
  await writer.create('acme/bert')
  const text = '{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}'.padEnd(5 * MIB)
  const bytes = Buffer.from(rawFile(text, 4))
  const { actions } = await writer.placeOf('acme/bert', bytes)
  for (const [i, part] of ['00001', '00002'].entries())
    await putTo(
      actions?.upload.header?.[part] ?? '',
      bytes.subarray(i * 4 * MIB, (i + 1) * 4 * MIB),
    )
  const complete = (): Promise<Response> => fetch(actions?.upload.href ?? '', { method: 'POST' })

  // Holds most of what is set aside for headers, for as long as it likes.
  const claim = 100_000_000
  const holders: Caller[] = []
  async function hold(): Promise<void> {
    const holder = call(server)
    holders.push(holder)
    const line = head('PUT /v1/checkpoints/acme/held/1', `Content-Length: ${claim + 8}`)
    await holder.send(line, rawFile('{"__metadata__":{"a":"', 0, BigInt(claim)))
    while (staged(server).length < 3) await fetch(`${server.url}/livez`)
  }
  await hold()
  while ((await server.put('acme/probe/1', bytes)).status !== 429) await hold()
  await refusal(t, await complete(), 429, null, 'TOO_MANY_REQUESTS')
  for (const holder of holders) holder.hangUp()
  let done = await complete()
  while (done.status === 429) done = await complete()
  t.equal(done.status, 200, 'nothing has to be sent again')
  t.notOk((await writer.placeOf('acme/bert', bytes)).actions)
})

t.test('whoever stalls or trickles is cut off, and leaves nothing', async (t) => {
  const server = await startServer(t, {
    STRONGROOM_STALL_TIMEOUT_MS: '1000',
    STRONGROOM_UPLOAD_PART_BYTES: '1MiB',
  })
  const writer = pushing(server)
  await writer.create('acme/bert')
  const bytes = weights(64 * 1024)
  const large = weights(1.5 * MIB, 2)
  const whole = (await writer.placeOf('acme/bert', bytes)).actions?.upload.href ?? ''
  const part = (await writer.placeOf('acme/bert', large)).actions?.upload.header?.['00001'] ?? ''
  const session = (await jsonOf(
    await writer.send('GET', '/api/models/acme/bert/xet-write-token/main'),
  )) as { readonly casUrl: string; readonly accessToken: string }
  const pathOf = (href: string): string => new URL(href).pathname
  const cas = `Authorization: Bearer ${session.accessToken}`
  const bare = (line: string, ...headers: readonly string[]): string =>
    [`${line} HTTP/1.1`, 'Host: x', ...headers, '', ''].join('\r\n')
  const length = 'Content-Length: 40000'
  const commit = 'POST /api/models/acme/bert/commit/main'
  const started = ndjson([header(), fileLine('a.txt', 'a')])
  const xorb = Buffer.concat([Buffer.from('00ff7f0000ff7f00', 'hex'), Buffer.alloc(1000)])
  const attacks: readonly (readonly [string, string, string | Uint8Array])[] = [
    ['an object', bare(`PUT ${pathOf(whole)}`, length), bytes.subarray(0, 3000)],
    ['a part', bare(`PUT ${pathOf(part)}`, length), large.subarray(0, 3000)],
    ['a commit', head(commit, length, 'Content-Type: application/x-ndjson'), started],
    [
      'a xorb',
      bare(`POST ${pathOf(session.casUrl)}/v1/xorbs/default/${'0'.repeat(64)}`, length, cas),
      xorb,
    ],
    ['a shard', bare(`POST ${pathOf(session.casUrl)}/v1/shards`, length, cas), 'HFRepoMetaData'],
  ]
  await Promise.all(
    attacks.map(async ([what, line, begun]) => {
      const caller = call(server)
      await caller.send(line, begun)
      t.match(await caller.until('\r\n\r\n'), /^HTTP\/1.1 408 /, what)
      caller.hangUp()
    }),
  )
  while (staged(server).length > 0) await fetch(`${server.url}/livez`)
  t.equal((await putTo(whole, bytes)).status, 200, 'and others are served')
})

t.test('a server that only reads refuses every push before its body', async (t) => {
  const primary = await startServer(t)
  const writer = pushing(primary)
  await writer.create('acme/bert')
  await writer.committed('acme/bert', [header(), fileLine('a.txt', 'a')])
  const snapshots = join(primary.folder, 'snapshots')
  mkdirSync(snapshots, { mode: 0o700 })
  const order = { auditKey: undefined, signal: new AbortController().signal }
  await backupLedger(join(primary.folder, 'data/ledger'), join(snapshots, 'strongroom.db'), order)
  const settings = { STRONGROOM_READ_ONLY: '1', STRONGROOM_LEDGER: snapshots }
  const replica = await startServer(t, settings, primary.folder)
  const hub = '/api/models/acme/bert'
  for (const [method, path] of [
    ['POST', '/api/repos/create'],
    ['DELETE', '/api/repos/delete'],
    ['POST', `${hub}/preupload/main`],
    ['POST', '/acme/bert.git/info/lfs/objects/batch'],
    ['PUT', '/api/lfs/object/x'],
    ['PUT', '/api/lfs/part/x'],
    ['POST', '/api/lfs/complete/x'],
    ['POST', `${hub}/commit/main`],
    ['POST', `${hub}/branch/x`],
    ['DELETE', `${hub}/branch/x`],
    ['POST', `${hub}/tag/main`],
    ['DELETE', `${hub}/tag/x`],
    ['POST', `/cas/${'0'.repeat(32)}/v1/xorbs/default/${'0'.repeat(64)}`],
    ['POST', `/cas/${'0'.repeat(32)}/v1/shards`],
  ] as const) {
    const waiting = head(`${method} ${path}`, 'Content-Length: 1000', 'Expect: 100-continue')
    const answer = await shout(replica, waiting)
    t.match(answer, /^HTTP\/1.1 403 /, `${method} ${path}`)
    t.match(answer, /"code":"READ_ONLY"/, `${method} ${path}`)
  }
  const token = await pushing(replica).send('GET', `${hub}/xet-write-token/main`)
  await refusal(t, token, 403, null, 'READ_ONLY')
  const read = await pushing(replica).send('GET', '/acme/bert/resolve/main/a.txt')
  t.equal(await read.text(), 'a')
})

t.test('the same commit from eight clients at once is one version', async (t) => {
  const server = await startServer(t)
  const writer = pushing(server)
  await writer.create('acme/bert')
  const bytes = weights(300_000, 3)
  const oid = sha256(bytes)
  const hrefs = await Promise.all(
    Array.from({ length: 4 }, async () => {
      const place = await writer.placeOf('acme/bert', bytes)
      return place.actions?.upload.href ?? ''
    }),
  )
  const puts = await Promise.all(hrefs.map((href) => putTo(href, bytes)))
  t.ok(puts.every(({ status }) => status === 200))
  t.equal(blobsOf(server).length, 1, 'one copy is kept')
  const lines = [header(), lfsLine('model.safetensors', oid)]
  const commits = await Promise.all(
    Array.from({ length: 8 }, () => writer.committed('acme/bert', lines)),
  )
  t.equal(new Set(commits).size, 1)
  const told = await jsonOf(await server.request('/v1/checkpoints/acme/bert'))
  t.match(told, { versions: [{ version: 'r1' }], tags: { latest: 'r1' } })
})
