import t, { type Test } from 'tap'
import { createAssemblies, type LargeObject } from '../../src/hub/assemblies.ts'
import { RegistryError } from '../../src/errors.ts'
import { DEFAULT_PATH, parseSha256 } from '../../src/registry/names.ts'
import { openLocalVault } from '../../src/vault/local.ts'
import { cut, fileOfSize, stagedIn } from '../vault/fixture.ts'
import { BERT, digestOf, openRegistry } from './registry.ts'

const WHOLE = 1000
const FILE = fileOfSize(3500)
const part = (number: number, bytes: Uint8Array = FILE): Uint8Array =>
  bytes.subarray((number - 1) * WHOLE, number * WHOLE)

async function gather(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  for await (const piece of body) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** Assemblies over a real vault, whose staging says how often it was asked; it takes what the registry would. */
async function started(t: Test, { keptMs = 60_000, fails = [] as readonly RegistryError[] } = {}) {
  const root = t.testdir()
  const vault = await openLocalVault(root)
  const staged: Buffer[] = []
  const failures = [...fails]
  const assemblies = createAssemblies({
    vault,
    wholeBytes: WHOLE,
    keptMs,
    reserveRoom: () => Promise.resolve(() => undefined),
    stage: async ({ body, announcedBytes, expected }) => {
      const bytes = await gather(body)
      staged.push(bytes)
      const failure = failures.shift()
      if (failure !== undefined) throw failure
      t.equal(bytes.length, announcedBytes)
      t.equal(digestOf(bytes), expected)
      return parseSha256(digestOf(bytes))
    },
  })
  t.teardown(assemblies.close)
  const object = (fields: Partial<LargeObject> = {}): LargeObject => ({
    principal: { tokenId: 't' },
    address: '192.0.2.1',
    checkpoint: BERT,
    path: DEFAULT_PATH,
    kind: 'safetensors',
    oid: digestOf(FILE),
    sizeBytes: FILE.length,
    ...fields,
  })
  const take = (number: number, bytes = part(number), fields: Partial<LargeObject> = {}) =>
    assemblies.takePart(object(fields), number, cut(bytes, 300))
  return { assemblies, object, take, staged, files: () => stagedIn(root) }
}

const invalid = { code: 'INVALID_REQUEST' }

t.test('parts come in any order, and again, and make the whole', async (t) => {
  const { assemblies, object, take, staged, files } = await started(t)
  for (const number of [4, 2, 1, 3]) await take(number)
  await take(2)
  t.equal((await files()).length, 4, 'one that comes again takes the place of the one before')
  t.equal(await assemblies.complete(object()), digestOf(FILE))
  t.equal(staged.length, 1)
  t.same(await files(), [])
})

t.test('the last of the same parts is the one that counts', async (t) => {
  const { assemblies, object, take } = await started(t)
  for (const number of [1, 2, 3, 4]) await take(number)
  await take(3, Buffer.alloc(WHOLE))
  await take(3)
  t.equal(await assemblies.complete(object()), digestOf(FILE))
})

t.test('parts at the same time don’t lose each other', async (t) => {
  const { assemblies, object, take, files } = await started(t)
  await Promise.all([1, 2, 3, 4, 3, 2, 1, 1].map((number) => take(number)))
  t.equal((await files()).length, 4)
  t.equal(await assemblies.complete(object()), digestOf(FILE))
  t.same(await files(), [])
})

t.test('a part of another size, or that there can’t be, is refused and not kept', async (t) => {
  const { take, files } = await started(t)
  for (const [number, bytes] of [
    [1, part(1).subarray(0, 999)],
    [1, Buffer.concat([part(1), Buffer.alloc(1)])],
    [1, Buffer.alloc(0)],
    [4, part(1)],
    [4, part(4).subarray(1)],
    [0, part(1)],
    [-1, part(1)],
    [5, part(1)],
    [5, Buffer.alloc(0)],
  ] as const)
    await t.rejects(take(number, bytes), invalid, `${number}, ${bytes.length} bytes`)
  await t.rejects(take(1, part(1), { sizeBytes: WHOLE }), invalid, 'it comes whole')
  t.same(await files(), [])
})

t.test('a body that breaks off leaves nothing', async (t) => {
  const { assemblies, object, files } = await started(t)
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(part(1).subarray(0, 500))
    throw new Error('the socket is gone')
  }
  await t.rejects(assemblies.takePart(object(), 1, broken()), /socket is gone/)
  t.same(await files(), [])
})

t.test('what can become nothing is refused with its first part', async (t) => {
  const { take, files } = await started(t)
  const pickle = Buffer.concat([Buffer.from('\x80\x02ctorch\n', 'latin1'), Buffer.alloc(WHOLE - 9)])
  await t.rejects(take(1, pickle), { code: 'INVALID_SAFETENSORS' })
  t.same(await files(), [])
})

t.test('while a part is missing nothing is put together, and nothing is lost', async (t) => {
  const { assemblies, object, take, staged, files } = await started(t)
  await t.rejects(assemblies.complete(object()), invalid)
  for (const number of [1, 2, 4]) await take(number)
  await t.rejects(assemblies.complete(object()), invalid)
  t.same([staged.length, (await files()).length], [0, 3])
  await take(3)
  t.equal(await assemblies.complete(object()), digestOf(FILE))
})

t.test('asked twice at once, it is put together once', async (t) => {
  const { assemblies, object, take, staged } = await started(t)
  for (const number of [1, 2, 3, 4]) await take(number)
  const both = [assemblies.complete(object()), assemblies.complete(object())]
  const late = take(1)
  t.same(await Promise.all(both), [digestOf(FILE), digestOf(FILE)])
  await late
  t.equal(staged.length, 1)
})

t.test('what was busy is asked again; what was refused begins anew', async (t) => {
  const busy = new RegistryError('TOO_MANY_REQUESTS', 'later')
  const wrong = new RegistryError('DIGEST_MISMATCH', 'no')
  const { assemblies, object, take, staged, files } = await started(t, { fails: [busy, wrong] })
  for (const number of [1, 2, 3, 4]) await take(number)
  await t.rejects(assemblies.complete(object()), { code: 'TOO_MANY_REQUESTS' })
  t.equal((await files()).length, 4)
  await t.rejects(assemblies.complete(object()), { code: 'DIGEST_MISMATCH' })
  t.same(await files(), [])
  await t.rejects(assemblies.complete(object()), invalid)
  t.equal(staged.length, 2)
})

t.test('tokens, checkpoints, objects and sizes have parts of their own', async (t) => {
  const { assemblies, object, take } = await started(t)
  for (const number of [1, 2, 3, 4]) await take(number)
  for (const other of [
    { principal: { tokenId: 'u' } },
    { checkpoint: { ...BERT, name: 'bart' } },
    { oid: parseSha256('ab'.repeat(32)) },
    { sizeBytes: 3000 },
  ])
    await t.rejects(assemblies.complete(object(other)), invalid)
  t.equal(await assemblies.complete(object()), digestOf(FILE))
})

t.test('at most a hundred parts make an object', async (t) => {
  const { assemblies } = await started(t)
  for (const size of [WHOLE + 1, 99_999, 100_000, 100_001, 2 ** 40]) {
    const bytes = assemblies.partBytes(size) ?? 0
    t.ok(bytes >= WHOLE && bytes * 100 >= size && Math.ceil(size / bytes) >= 2, String(size))
  }
  t.equal(assemblies.partBytes(WHOLE), undefined)
})

t.test('parts that wait too long go, and closing leaves none', async (t) => {
  const { take, files } = await started(t, { keptMs: 5 })
  await take(1)
  while ((await files()).length > 0) await new Promise((resolve) => setImmediate(resolve))
  const { assemblies, take: takeOther, files: others } = await started(t)
  await takeOther(1)
  await takeOther(2)
  await assemblies.close()
  t.same(await others(), [])
})

t.test('in the registry the whole is judged as any upload', async (t) => {
  const { hub, admin, address, staged, ledger } = await openRegistry(t, {
    STRONGROOM_UPLOAD_PART_BYTES: String(1024 * 1024),
  })
  const good = fileOfSize(2_500_000)
  const object = (bytes: Uint8Array): LargeObject => ({
    principal: admin,
    address,
    checkpoint: BERT,
    path: DEFAULT_PATH,
    kind: 'safetensors',
    oid: digestOf(good),
    sizeBytes: bytes.length,
  })
  async function upload(bytes: Buffer): Promise<string> {
    const size = hub.assemblies.partBytes(bytes.length) ?? 0
    for (let at = 0, number = 1; at < bytes.length; at += size, number++)
      await hub.assemblies.takePart(
        object(bytes),
        number,
        cut(bytes.subarray(at, at + size), 65_536),
      )
    return hub.assemblies.complete(object(bytes))
  }
  const other = Buffer.from(good)
  other[other.length - 1] = (other.at(-1) ?? 0) ^ 1
  await t.rejects(upload(other), { code: 'DIGEST_MISMATCH' })
  t.same(await staged(), [])
  t.equal(await upload(good), digestOf(good))
  t.same(await staged(), [])
  t.match(await ledger.blobHeldBy(admin.tokenId, digestOf(good), BERT), {
    blob: { size: good.length, kind: 'safetensors' },
  })
})
