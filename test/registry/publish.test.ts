import { appendFileSync, chmodSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { tokenDigest } from '../../src/access/tokens.ts'
import type { Metadata } from '../../src/registry/version-metadata.ts'
import { parseCheckpointName, parseFilePath, parseVersionName } from '../../src/registry/names.ts'
import type { IncomingFile, PublishFacts } from '../../src/registry/publish.ts'
import { resolveVersion } from '../../src/registry/resolve.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { bytesOf } from '../hashing/fixture.ts'
import { ADMIN, startServer, type TestServer } from '../helpers/server.ts'
import { cut, u8 } from '../vault/fixture.ts'

const weights = (seed: string, size = 5000): Uint8Array =>
  writeSafetensors([u8('w', bytesOf(seed, size))])

/** The publisher of a real registry, as a route calls it. */
async function startPublisher(t: Test, settings: Readonly<Record<string, string>> = {}) {
  const server = await startServer(t, settings)
  const { strongroom, folder } = server
  const token = await strongroom.ledger.findToken(tokenDigest(ADMIN))
  if (token === undefined) throw new Error('there is no admin')
  const principal = { tokenId: token.id, name: token.name, role: token.role, scope: token.scope }
  const checkpoint = parseCheckpointName('acme', 'bert')
  async function* filesOf(
    files: Readonly<Record<string, Uint8Array>>,
  ): AsyncGenerator<IncomingFile> {
    for (const [path, bytes] of Object.entries(files)) {
      yield await Promise.resolve({
        path: parseFilePath(path),
        body: cut(bytes, 1000),
        announcedBytes: undefined,
      })
    }
  }
  const publish = (
    version: string,
    files: Readonly<Record<string, Uint8Array>>,
    facts: Partial<PublishFacts> & { metadata?: Metadata } = {},
  ) =>
    strongroom.publish({
      principal,
      address: '192.0.2.1',
      checkpoint,
      version: parseVersionName(version),
      files: filesOf(files),
      facts: () => ({ metadata: {}, expected: new Map(), held: [], ...facts }),
    })
  const vault = join(folder, 'data/vault')
  const blobs = (): string[] =>
    readdirSync(join(vault, 'blobs')).flatMap((shelf) =>
      readdirSync(join(vault, 'blobs', shelf)).map((id) => join(vault, 'blobs', shelf, id)),
    )
  const staged = (): string[] => readdirSync(join(vault, 'staging'))
  const resolve = (ref: string) => resolveVersion(strongroom.ledger, checkpoint, ref)
  return { server, strongroom, publish, blobs, staged, resolve }
}

t.test('of many who publish the same at once one creates it, and one copy stays', async (t) => {
  const { publish, blobs, staged, strongroom, resolve } = await startPublisher(t)
  const outcomes = await Promise.all(
    Array.from({ length: 6 }, () => publish('1', { 'model.safetensors': weights('a') })),
  )
  t.same(outcomes.toSorted(), ['created', 'same', 'same', 'same', 'same', 'same'])
  t.equal(blobs().length, 1)
  t.same(staged(), [])
  t.match(await strongroom.verifyVersion(await resolve('1')), { valid: true })
})

t.test(
  'of two who publish different bytes under one name the second is refused, and its bytes go',
  async (t) => {
    const { publish, blobs, staged, resolve, strongroom } = await startPublisher(t)
    const outcomes = await Promise.allSettled(
      ['a', 'b', 'c'].map((seed) => publish('1', { 'model.safetensors': weights(seed) })),
    )
    t.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
    const { version } = await resolve('1')
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected')
        t.match(outcome.reason, { code: 'VERSION_EXISTS', facts: { revision: version.revision } })
    }
    t.equal(blobs().length, 1)
    t.same(staged(), [])
    t.match(await strongroom.verifyVersion(await resolve('1')), { valid: true })
  },
)

t.test('a file twice in one version is stored once, and both paths hold it', async (t) => {
  const { publish, blobs, resolve, strongroom } = await startPublisher(t)
  await publish('1', { 'a.safetensors': weights('a'), 'b.safetensors': weights('a') })
  t.equal(blobs().length, 1)
  const { files } = await resolve('1')
  t.same(
    files.map(({ path }) => path),
    ['a.safetensors', 'b.safetensors'],
  )
  t.match(await strongroom.verifyVersion(await resolve('1')), { valid: true })
})

const index = (map: object): Buffer => Buffer.from(JSON.stringify({ weight_map: map }))
const REFUSED: readonly (readonly [string, Readonly<Record<string, Uint8Array>>, string])[] = [
  ['without files', {}, 'INVALID_REQUEST'],
  ['with a bad second file', { a: weights('a'), b: Buffer.from('no') }, 'INVALID_SAFETENSORS'],
  ['with too many files', { a: weights('a'), b: weights('b'), c: weights('c') }, 'TOO_LARGE'],
  [
    'with an index of what is not there',
    { 'm.safetensors': weights('a'), 'm.safetensors.index.json': index({ v: 'm.safetensors' }) },
    'INVALID_REQUEST',
  ],
]
for (const [what, files, code] of REFUSED) {
  t.test(`a version ${what} is refused, and nothing of it stays`, async (t) => {
    const { publish, blobs, staged, resolve } = await startPublisher(t, {
      STRONGROOM_MAX_FILES: '2',
    })
    await t.rejects(publish('1', files), { code })
    t.same([blobs(), staged()], [[], []])
    await t.rejects(resolve('1'), { code: 'NOT_FOUND' })
    t.equal(await publish('1', { a: weights('a') }), 'created')
  })
}

async function damage(server: TestServer, path: string): Promise<void> {
  chmodSync(path, 0o644)
  appendFileSync(path, 'x')
  const answer = await server.request('/v1/checkpoints/acme/bert/1/files/model.safetensors')
  await answer.arrayBuffer()
}

t.test('publishing the same again puts a sound copy in the place of a damaged one', async (t) => {
  const { server, publish, blobs, resolve, strongroom } = await startPublisher(t)
  const files = { 'model.safetensors': weights('a') }
  await publish('1', files)
  const [path = ''] = blobs()
  await damage(server, path)
  t.same(blobs(), [], 'what was damaged is out of reach')
  t.match(await strongroom.verifyVersion(await resolve('1')), { valid: false })
  t.equal(await publish('1', files), 'same')
  t.equal(blobs().length, 1)
  t.match(await strongroom.verifyVersion(await resolve('1')), { valid: true })
  const entries = await strongroom.ledger.audit({ after: 0, limit: 100, action: 'repair' })
  t.equal(entries.length, 1)
})

t.test('a version that was read for verification while a repair came in is valid', async (t) => {
  const { server, publish, blobs, resolve, strongroom } = await startPublisher(t)
  const files = { 'model.safetensors': weights('a') }
  await publish('1', files)
  const before = await resolve('1')
  const [path = ''] = blobs()
  await damage(server, path)
  await publish('1', files)
  // It still names the copy that is gone.
  t.match(await strongroom.verifyVersion(before), { valid: true })
  t.equal(blobs().length, 1, 'and the new copy is not blamed for the old one')
})

t.test('bytes without a row are swept at the next start, those with one are kept', async (t) => {
  const { server, publish, blobs } = await startPublisher(t)
  await publish('1', { 'model.safetensors': weights('a') })
  const [kept = ''] = blobs()
  await server.close()
  const vault = join(server.folder, 'data/vault')
  const orphan = join(vault, 'blobs/00', '0'.repeat(32))
  appendFileSync(orphan, 'sealed, and the process was killed before the row')
  appendFileSync(join(vault, 'staging/half'), 'half')
  const again = await startServer(t, {}, server.folder)
  t.same(blobs(), [kept])
  t.same(readdirSync(join(vault, 'staging')), [])
  const [, entry] = await again.strongroom.ledger.audit({
    after: 0,
    limit: 10,
    action: 'server.start',
  })
  t.match(entry, { details: { swept: { staged: 1, blobs: 1 } } })
})
