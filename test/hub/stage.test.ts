import t from 'tap'
import { parseCheckpointName, parseFilePath } from '../../src/registry/names.ts'
import { cut } from '../vault/fixture.ts'
import { BERT, digestOf, gone, header, large, openRegistry, text, weights } from './registry.ts'

const A = weights('a', 5000)
const B = weights('b', 5000)

t.test('what is staged is proven, and its SHA-256 says what it is', async (t) => {
  const { stage, ledger, admin, staged, blobs } = await openRegistry(t)
  t.equal(await stage(A, { expected: digestOf(A) }), digestOf(A))
  t.match(await ledger.blobHeldBy(admin.tokenId, digestOf(A), BERT), {
    blob: { size: A.length, kind: 'safetensors', state: 'sealed' },
    tensors: 1,
  })
  t.same([await staged(), (await blobs()).length], [[], 1])
})

t.test('what is refused leaves nothing behind', async (t) => {
  const { stage, staged, blobs, principal, ledger } = await openRegistry(t)
  const elsewhere = await principal('elsewhere', 'acme/bart')
  const ended = await principal('ended')
  await ledger.revokeToken('ended', { action: 'token.revoke', outcome: 'ok' })
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(A.subarray(0, 3000))
    throw new Error('the socket is gone')
  }
  const config = { path: parseFilePath('config.json'), kind: 'json' } as const
  await t.rejects(stage(A, { expected: digestOf(B) }), { code: 'DIGEST_MISMATCH' })
  await t.rejects(stage(A, { announcedBytes: A.length + 1 }), { code: 'INVALID_SAFETENSORS' })
  await t.rejects(stage(A.subarray(0, -1)), { code: 'INVALID_SAFETENSORS' })
  await t.rejects(stage(A, { body: broken() }), /socket is gone/)
  await t.rejects(stage(Buffer.from('{'), config), { code: 'INVALID_SAFETENSORS' })
  await t.rejects(stage(A, { principal: elsewhere }), { code: 'FORBIDDEN' })
  await t.rejects(stage(A, { principal: ended }), { code: 'UNAUTHENTICATED' })
  const nowhere = parseCheckpointName('acme', 'none')
  await t.rejects(stage(A, { checkpoint: nowhere }), { code: 'NOT_FOUND' })
  t.same([await staged(), await blobs()], [[], []])
})

t.test('the same again is stored once, also at the same time and by others', async (t) => {
  const { stage, blobs, staged, principal, commit } = await openRegistry(t)
  const other = await principal('other')
  await Promise.all([
    ...Array.from({ length: 5 }, () => stage(A)),
    ...Array.from({ length: 5 }, () => stage(A, { principal: other })),
  ])
  t.same([await staged(), (await blobs()).length], [[], 1])
  await commit([header(), large('m.safetensors', A)])
  await stage(A, { principal: other })
  t.equal((await blobs()).length, 1)
})

t.test('a text is judged for each name that it gets', async (t) => {
  const { stage, commit } = await openRegistry(t)
  const words = Buffer.from('no JSON')
  await stage(words, { path: parseFilePath('a.txt'), kind: 'text', body: cut(words, 3) })
  t.match(await commit([header(), large('b.md', words)]), { outcome: 'created' })
  const asJson = commit([header(), large('config.json', words)])
  await t.rejects(asJson, { code: 'INVALID_SAFETENSORS' })
  t.match(await commit([header(), text('b.md', 'other')]), { outcome: 'created' })
  t.match(await commit([header(), text('c.md', 'other'), gone('b.md')]), { outcome: 'created' })
})
