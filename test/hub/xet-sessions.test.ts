import { readdirSync } from 'node:fs'
import t, { type Test } from 'tap'
import { createRoom } from '../../src/hub/room.ts'
import { createXetSessions, type XetUpload } from '../../src/hub/xet-sessions.ts'
import { parseCheckpointName } from '../../src/registry/names.ts'
import { openLocalVault } from '../../src/vault/local.ts'
import { hashOf, rawXorb, shardOf, xorbOf } from '../routes/hub/xet.ts'
import { cut, stagedIn } from '../vault/fixture.ts'
import { BERT, digestOf, header, large, openRegistry, weights } from './registry.ts'

const A = weights('a', 5000)
const B = weights('b', 5000)

/** A file in three chunks of the xorb of that name. */
const inThree = (file: Uint8Array): readonly Uint8Array[] => [
  file.subarray(0, 100),
  file.subarray(100, 3000),
  file.subarray(3000),
]
const shardOfOne = (file: Uint8Array, xorb: number, sha256: string | undefined = digestOf(file)) =>
  shardOf([{ sha256, terms: [{ xorb, begin: 0, end: 3, bytes: file.length }] }])

async function started(t: Test, settings: Readonly<Record<string, string>> = {}) {
  const registry = await openRegistry(t, settings)
  const { hub, admin, address, ledger } = registry
  const session = (nonce: string, fields: Partial<XetUpload> = {}): XetUpload => ({
    ...{ principal: admin, address, checkpoint: BERT, nonce },
    ...fields,
  })
  const xorb = (upload: XetUpload, name: number, file: Uint8Array) =>
    hub.xet.takeXorb(upload, hashOf(name), cut(rawXorb(inThree(file)), 700))
  const shard = (upload: XetUpload, bytes: Uint8Array) => hub.xet.takeShard(upload, cut(bytes, 100))
  const isHeld = async (file: Uint8Array) =>
    (await ledger.blobHeldBy(admin.tokenId, digestOf(file), BERT)) !== undefined
  return { ...registry, session, xorb, shard, isHeld }
}

const invalid = { code: 'INVALID_REQUEST' }

t.test('files are put together from xorbs, and the commit lets go of them', async (t) => {
  const { session, xorb, shard, isHeld, commit, staged } = await started(t)
  const [one, two] = [session('1'), session('2')]
  t.equal(await xorb(one, 1, A), true)
  t.equal(await xorb(one, 2, B), true)
  await xorb(two, 2, B)
  await shard(one, shardOfOne(A, 1))
  t.ok(await isHeld(A))
  t.equal((await staged()).length, 3)
  await shard(two, shardOfOne(B, 2))
  await commit([header(), large('a.safetensors', A)])
  t.equal((await staged()).length, 1, 'the other session’s xorb waits for its commit')
  await commit([header(), large('b.safetensors', B)])
  t.same(await staged(), [])
})

t.test('a session whose files were committed only in part is kept', async (t) => {
  const { session, xorb, shard, commit, staged } = await started(t)
  const upload = session('1')
  await xorb(upload, 1, A)
  await xorb(upload, 2, B)
  const both = [
    { sha256: digestOf(A), terms: [{ xorb: 1, begin: 0, end: 3, bytes: A.length }] },
    { sha256: digestOf(B), terms: [{ xorb: 2, begin: 0, end: 3, bytes: B.length }] },
  ]
  await shard(upload, shardOf(both))
  await commit([header(), large('a.safetensors', A)])
  t.equal((await staged()).length, 2)
  await commit([header(), large('b.safetensors', B)])
  t.same(await staged(), [])
})

t.test('of one xorb that comes often at once one copy is kept', async (t) => {
  const { session, xorb, shard, isHeld, staged } = await started(t)
  const upload = session('1')
  const inserted = await Promise.all([1, 1, 1, 1].map((name) => xorb(upload, name, A)))
  t.same(inserted.filter(Boolean), [true])
  t.equal((await staged()).length, 1)
  await Promise.all([shard(upload, shardOfOne(A, 1)), shard(upload, shardOfOne(A, 1))])
  t.ok(await isHeld(A))
})

t.test('a session sees no other’s xorbs, nor refusals', async (t) => {
  const { hub, session, xorb, shard, principal, create, admin } = await started(t)
  const other = await principal('other')
  const bart = parseCheckpointName('acme', 'bart')
  await create(bart)
  await xorb(session('1'), 1, A)
  for (const fields of [{ principal: other }, { checkpoint: bart }, { nonce: '2' }])
    await t.rejects(shard(session('1', fields), shardOfOne(A, 1)), invalid)
  const wrong = digestOf(B)
  await t.rejects(shard(session('1'), shardOfOne(A, 1, wrong)), { code: 'DIGEST_MISMATCH' })
  t.type(hub.xet.refusalOf(admin.tokenId, BERT, wrong), 'string')
  t.equal(hub.xet.refusalOf(other.tokenId, BERT, wrong), undefined)
  t.equal(hub.xet.refusalOf(admin.tokenId, bart, wrong), undefined)
  t.equal(hub.xet.refusalOf(admin.tokenId, BERT, digestOf(A)), undefined)
})

t.test('a shard that can’t be is refused, and nothing is staged', async (t) => {
  const { session, xorb, shard, blobs } = await started(t)
  const upload = session('1')
  await xorb(upload, 1, A)
  const sha256 = digestOf(A)
  const bytes = A.length
  for (const [what, terms] of [
    ['an unknown xorb', [{ xorb: 9, begin: 0, end: 3, bytes }]],
    ['a wrong length', [{ xorb: 1, begin: 0, end: 3, bytes: bytes - 1 }]],
    ['a chunk too many', [{ xorb: 1, begin: 0, end: 4, bytes }]],
    ['chunks backwards', [{ xorb: 1, begin: 3, end: 0, bytes }]],
    ['no such chunks', [{ xorb: 1, begin: 4_000_000_000, end: 4_000_000_003, bytes }]],
  ] as const)
    await t.rejects(shard(upload, shardOf([{ sha256, terms }])), invalid, what)
  const good = { xorb: 1, begin: 0, end: 3, bytes }
  const unnamed = shardOf([{ sha256: undefined, terms: [good] }])
  await t.rejects(shard(upload, unnamed), invalid, 'a file without its SHA-256')
  const twice = { sha256, terms: [good, good] }
  await t.rejects(shard(upload, shardOf([twice])), { code: 'INVALID_SAFETENSORS' }, 'twice as long')
  t.same(await blobs(), [])
  await shard(upload, shardOfOne(A, 1))
  t.equal((await blobs()).length, 1, 'and the session goes on')
})

t.test('why a file was refused is told to its commit, whatever the reason', async (t) => {
  const { hub, session, shard, commit } = await started(t)
  const upload = session('1')
  const take = (name: number, xorb: Uint8Array) =>
    hub.xet.takeXorb(upload, hashOf(name), cut(xorb, 50))
  const pickle = Buffer.from('\x80\x02ctorch._utils\n_rebuild_tensor_v2\n', 'latin1')
  await take(1, rawXorb([pickle]))
  // A frame that LZ4 never wrote: it is noticed while the file is put together.
  await take(2, xorbOf([{ scheme: 1, rawBytes: 500, data: Buffer.alloc(40, 7) }]))
  for (const [xorb, length, file, reason] of [
    [1, pickle.length, pickle, /./],
    [2, 500, Buffer.alloc(500), /Xet/],
  ] as const) {
    const sha256 = digestOf(file)
    const terms = [{ xorb, begin: 0, end: 1, bytes: length }]
    await t.rejects(shard(upload, shardOf([{ sha256, terms }])))
    const refusal: unknown = await commit([header(), large('m.safetensors', file)]).catch(
      (error: unknown) => error,
    )
    t.match(refusal, {
      ...invalid,
      facts: { errors: [{ field: 'm.safetensors:', detail: reason }] },
    })
    t.notMatch(refusal, { facts: { errors: [{ detail: /never uploaded/ }] } })
  }
})

t.test('what was refused and then comes right is not refused', async (t) => {
  const { hub, session, xorb, shard, admin, commit } = await started(t)
  const [bad, good] = [session('1'), session('2')]
  await xorb(bad, 1, A)
  await t.rejects(shard(bad, shardOfOne(A, 1, digestOf(B))))
  await xorb(bad, 2, B)
  await shard(bad, shardOfOne(B, 2))
  t.equal(hub.xet.refusalOf(admin.tokenId, BERT, digestOf(B)), undefined)
  await xorb(good, 1, A)
  await shard(good, shardOfOne(A, 1))
  const asked = [header(), large('a.safetensors', A), large('b.safetensors', B)]
  t.match(await commit(asked), { outcome: 'created' })
})

t.test('a xorb that breaks off, or is none, leaves nothing', async (t) => {
  const { hub, session, staged } = await started(t)
  const whole = rawXorb(inThree(A))
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(whole.subarray(0, 900))
    throw new Error('the socket is gone')
  }
  await t.rejects(hub.xet.takeXorb(session('1'), hashOf(1), broken()), /socket is gone/)
  for (const bytes of [whole.subarray(0, -1), Buffer.alloc(0), Buffer.alloc(100, 9)])
    await t.rejects(hub.xet.takeXorb(session('1'), hashOf(1), cut(bytes, 99)), invalid)
  t.same(await staged(), [])
})

t.test('sessions that are left alone go, and closing leaves none', async (t) => {
  const root = t.testdir()
  const vault = await openLocalVault(root)
  const start = (keptMs: number) =>
    createXetSessions({
      vault,
      stage: () => Promise.reject(new Error('nothing is staged here')),
      isHeld: () => Promise.resolve(false),
      reserveRoom: createRoom(() => Promise.resolve(0)),
      ...{ maxFiles: 1, memoryBytes: 1024 * 1024, keptMs },
    })
  const upload = {
    ...{ principal: { tokenId: 't' }, address: '192.0.2.1', checkpoint: BERT, nonce: '1' },
  }
  const take = (sessions: ReturnType<typeof start>, name: number) =>
    sessions.takeXorb(upload, hashOf(name), cut(rawXorb([A]), 1000))
  const swept = start(5)
  t.teardown(swept.close)
  await take(swept, 1)
  while ((await stagedIn(root)).length > 0) await new Promise((resolve) => setImmediate(resolve))
  const closed = start(60_000)
  for (const name of [1, 2, 3]) await take(closed, name)
  t.equal((await stagedIn(root)).length, 3)
  const millions = shardOf([
    {
      sha256: digestOf(A),
      terms: [{ xorb: 1, begin: 0, end: 1, bytes: A.length }],
      times: 100_000,
    },
  ])
  await t.rejects(closed.takeShard(upload, cut(millions, 65_536)), { code: 'TOO_MANY_REQUESTS' })
  const many = millions.subarray(0, 48)
  await t.rejects(closed.takeShard(upload, cut(many, 65_536)), invalid)
  const some = shardOf([
    { sha256: digestOf(A), terms: [{ xorb: 1, begin: 0, end: 1, bytes: A.length }], times: 5000 },
  ])
  await t.rejects(closed.takeShard(upload, cut(some, 65_536)), { code: 'INSUFFICIENT_STORAGE' })
  await closed.close()
  t.same(await stagedIn(root), [])
})

t.test(
  'a token that has its share loses what it abandoned, and nobody else anything',
  async (t) => {
    const root = t.testdir()
    const vault = await openLocalVault(root)
    const start = (abandonedMs: number) => {
      const sessions = createXetSessions({
        vault,
        stage: () => Promise.reject(new Error('nothing is staged here')),
        isHeld: () => Promise.resolve(false),
        reserveRoom: createRoom(() => Promise.resolve(0)),
        ...{ maxFiles: 1, memoryBytes: 1024 * 1024, keptMs: 60_000, abandonedMs },
      })
      t.teardown(sessions.close)
      return (tokenId: string, nonce: number): Promise<boolean> =>
        sessions.takeXorb(
          { principal: { tokenId }, address: '192.0.2.1', checkpoint: BERT, nonce: String(nonce) },
          hashOf(1),
          cut(rawXorb([A.subarray(0, 8)]), 1000),
        )
    }
    const many = async (take: ReturnType<typeof start>): Promise<void> => {
      await take('modest', 0)
      for (let nonce = 0; nonce < 1000; nonce++) await take('greedy', nonce)
    }
    const patient = start(60_000)
    await many(patient)
    await t.rejects(patient('greedy', 1000), { code: 'TOO_MANY_REQUESTS' })
    t.equal(await patient('greedy', 7), false, 'what it has goes on')
    t.equal(await patient('modest', 1), true)
    const hasty = start(-1)
    await many(hasty)
    t.equal(await hasty('greedy', 1000), true)
    t.equal(await hasty('greedy', 0), true, 'which was gone')
    t.equal(await hasty('modest', 0), false, 'what another sent is still there')
  },
)

t.test('xorbs that wait hold no file open', async (t) => {
  const openFiles = (): number =>
    process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
  const vault = await openLocalVault(t.testdir())
  const before = openFiles()
  const scratch = await vault.scratch()
  await scratch.append(Buffer.from('waiting'))
  const parked = await scratch.park()
  t.equal(openFiles(), before)
  t.equal(Buffer.from(await parked.readAt(1, 3)).toString(), 'ait')
  const pieces = []
  for await (const piece of parked.read()) pieces.push(piece)
  t.equal(Buffer.concat(pieces).toString(), 'waiting')
  await parked.discard()
  t.equal(openFiles(), before)
})
