import Database from 'better-sqlite3'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { StagedUpload } from '../../db/changes.ts'
import type { PublishedFile } from '../../db/ledger.ts'
import { addToken, BERT, file, NOTHING_ASKED, openAt, publication, sha256 } from './fixture.ts'

const LATER = '2999-01-01T00:00:00.000Z'
const AFTER_THAT = '2999-01-01T00:00:00.001Z'

function upload(content: string, fields: Partial<StagedUpload> = {}): StagedUpload {
  return {
    tokenId: 't',
    roles: ['writer', 'admin'],
    address: '192.0.2.1',
    ...BERT,
    file: file(content),
    expiresAt: LATER,
    ...fields,
  }
}

const BART = { owner: 'acme', name: 'bart' } as const
const digest = (content: string): string => sha256(content).toString('hex')
const named = (content: string, path = 'model.safetensors'): PublishedFile => ({
  path,
  sha256: digest(content),
  size: 10,
  blob: undefined,
})

/** A ledger in which acme/bert and acme/bart are there, with the writers `t` and `u`. */
async function started(t: Test, folder = t.testdir()) {
  const ledger = await openAt(t, folder)
  for (const id of ['t', 'u']) await addToken(ledger, id)
  const actor = { tokenId: 't', roles: ['writer'], address: undefined } as const
  for (const checkpoint of [BERT, BART]) await ledger.createCheckpoint({ ...actor, ...checkpoint })
  async function publish(version: string, files: readonly PublishedFile[], fields: object = {}) {
    const { checkpoint } = await ledger.policies('acme', 'bert')
    const serials = { owner: undefined, checkpoint: checkpoint?.serial }
    const asked = { ...NOTHING_ASKED, serials }
    return ledger.publish(publication(version, { files, asked, ...fields }))
  }
  return { ledger, publish, folder }
}

/** How many rows there are of what a blob brings along. */
function rowsIn(folder: string): Readonly<Record<string, unknown>> {
  const db = new Database(join(folder, 'strongroom.db'), { readonly: true })
  const counts = ['uploads', 'blobs', 'leaf_pages', 'tensors'].map((table) => [
    table,
    db.prepare(`SELECT count(*) FROM ${table}`).pluck().get(),
  ])
  db.close()
  return Object.fromEntries(counts) as Record<string, unknown>
}

t.test('what is staged is held by that token, for that checkpoint, for a while', async (t) => {
  const { ledger, publish } = await started(t)
  const staged = upload('a')
  t.same(await ledger.stageUpload(staged), { outcome: 'staged', retired: [] })
  t.match(await ledger.blobHeldBy('t', digest('a'), BERT), {
    path: 'model.safetensors',
    blob: { size: 10, vaultId: staged.file.blob.vaultId },
    version: undefined,
  })
  t.ok(await ledger.blobHeldBy('t', digest('a'), { owner: 'ACME', name: 'Bert' }), 'in any case')
  t.equal(await ledger.blobHeldBy('u', digest('a'), BERT), undefined)
  t.equal(await ledger.blobHeldBy('t', digest('a'), BART), undefined)
  t.equal(await ledger.blobHeldBy('t', digest('b'), BERT), undefined)
  for (const [version, files, fields] of [
    ['1', [named('a')], { tokenId: 'u' }],
    ['1', [named('a')], { name: 'bart' }],
    ['1', [named('b')], {}],
    ['1', [{ ...named('a'), size: 11 }], {}],
  ] as const)
    t.match(await publish(version, files, fields), { outcome: /blob_missing|policy_changed/ })
  t.match(await publish('1', [named('a')]), { outcome: 'created' })
})

t.test('once its time is over, or its token’s, nobody holds it', async (t) => {
  const { ledger, publish } = await started(t)
  await ledger.stageUpload(upload('a', { expiresAt: '2020-01-01T00:00:00.000Z' }))
  t.equal(await ledger.blobHeldBy('t', digest('a'), BERT), undefined)
  t.match(await publish('1', [named('a')]), { outcome: 'blob_missing' })
  await ledger.stageUpload(upload('a'))
  t.ok(await ledger.blobHeldBy('t', digest('a'), BERT), 'staged again')
  await ledger.revokeToken('t', { action: 'token.revoke', outcome: 'ok' })
  t.equal(await ledger.blobHeldBy('t', digest('a'), BERT), undefined)
})

t.test('who may not publish there stages nothing, and nothing is kept', async (t) => {
  const { ledger, folder } = await started(t)
  await addToken(ledger, 'r', { role: 'reader' })
  await addToken(ledger, 'elsewhere', { scope: 'acme/bart' })
  await addToken(ledger, 'expired', { expiresAt: '2020-01-01T00:00:00.000Z' })
  for (const [fields, outcome] of [
    [{ tokenId: 'nobody' }, 'unauthenticated'],
    [{ tokenId: 'expired' }, 'unauthenticated'],
    [{ tokenId: 'r' }, 'forbidden'],
    [{ tokenId: 'elsewhere' }, 'forbidden'],
    [{ name: 'none' }, 'checkpoint_missing'],
  ] as const)
    t.same(await ledger.stageUpload(upload('a', fields)), { outcome }, outcome)
  await addToken(ledger, 'a', { role: 'admin' })
  await ledger.deleteCheckpoint({
    ...{ tokenId: 'a', address: undefined, ...BERT, reason: 'gone' },
    roles: ['admin'],
  })
  t.same(await ledger.stageUpload(upload('a')), { outcome: 'checkpoint_missing' }, 'deleted')
  t.match(rowsIn(folder), { uploads: 0, blobs: 0, leaf_pages: 0 })
})

t.test('what a version names needs no upload, and others keep theirs', async (t) => {
  const { ledger, publish, folder } = await started(t)
  await ledger.stageUpload(upload('a'))
  await ledger.stageUpload(upload('b'))
  await ledger.stageUpload(upload('a', { tokenId: 'u' }))
  await ledger.stageUpload(upload('a', BART))
  t.match(rowsIn(folder), { uploads: 4, blobs: 2 })
  await publish('1', [named('a')])
  t.match(rowsIn(folder), { uploads: 3, blobs: 2 })
  t.ok(await ledger.blobHeldBy('u', digest('a'), BERT))
  t.match(await publish('2', [named('b')]), { outcome: 'created' })
  t.match(rowsIn(folder), { uploads: 2 })
})

t.test('collecting removes what nothing else names, and only once its time is over', async (t) => {
  const { ledger, publish, folder } = await started(t)
  const tensors = Array.from({ length: 3000 }, (_, i) => ({ name: `layer.${i}` }))
  // Each proves another copy: the columns of one go with it to the writer.
  const uploadB = () => upload('b', { file: file('b', { tensors }) })
  const [a, b, c] = [upload('a'), uploadB(), upload('c')]
  for (const one of [a, b, c]) await ledger.stageUpload(one)
  const another = upload('c', { tokenId: 'u', expiresAt: AFTER_THAT })
  await ledger.stageUpload(another)
  await publish('1', [named('a')])
  t.same(await ledger.collectUploads('2998-12-31T23:59:59.999Z'), [])
  t.match(rowsIn(folder), { uploads: 3, blobs: 3, tensors: 3000 })
  t.same(await ledger.collectUploads(LATER), [b.file.blob.vaultId])
  t.match(rowsIn(folder), { uploads: 1, blobs: 2, tensors: 0, leaf_pages: 2 })
  t.ok(await ledger.blobHeldBy('u', digest('c'), BERT), 'another has uploaded the same')
  t.same(await ledger.collectUploads(AFTER_THAT), [another.file.blob.vaultId])
  t.match(rowsIn(folder), { uploads: 0, blobs: 1, leaf_pages: 1 })
  t.ok(await ledger.hasVaultId(a.file.blob.vaultId), 'a version has it')
  t.same(await ledger.collectUploads(AFTER_THAT), [])
  t.match(
    await ledger.stageUpload(uploadB()),
    { outcome: 'staged', retired: [] },
    'and it comes anew',
  )
  t.match(rowsIn(folder), { tensors: 3000 })
})

t.test('many expired uploads are collected bit by bit', async (t) => {
  const { ledger } = await started(t)
  for (let i = 0; i < 130; i++) await ledger.stageUpload(upload(`content ${i}`))
  const counts = []
  for (let left = -1; left !== 0; counts.push(left))
    left = (await ledger.collectUploads(LATER)).length
  t.same(counts, [100, 30, 0])
})

t.test('the newest proven copy stands for its content, and a damaged one is mended', async (t) => {
  const { ledger } = await started(t)
  const [first, second, third] = [upload('a'), upload('a'), upload('a', { tokenId: 'u' })]
  await ledger.stageUpload(first)
  const retired = [first.file.blob.vaultId]
  t.same(await ledger.stageUpload(second), { outcome: 'staged', retired })
  await ledger.quarantine(second.file.blob.vaultId, { action: 'integrity_failure', outcome: 'x' })
  t.equal(await ledger.blobHeldBy('t', digest('a'), BERT), undefined, 'nobody has damaged bytes')
  t.match(await ledger.stageUpload(third), { retired: [second.file.blob.vaultId] })
  t.match(await ledger.blobHeldBy('t', digest('a'), BERT), {
    blob: { vaultId: third.file.blob.vaultId },
  })
  t.match(await ledger.audit({ after: 0, limit: 10, action: 'repair' }), [
    { actorId: 'u', subject: 'acme/bert', details: { sha256: digest('a') } },
  ])
  t.match(await ledger.verifyAudit(), { valid: true })
})

t.test('a withdrawn version’s bytes are held again by who uploads them again', async (t) => {
  const { ledger, publish } = await started(t)
  await addToken(ledger, 'a', { role: 'admin' })
  await publish('1', [file('a')])
  const withdrawal = { tokenId: 'a', roles: ['admin'], address: undefined } as const
  await ledger.withdraw({ ...withdrawal, ...BERT, version: '1', reason: 'bad' })
  t.equal(await ledger.blobHeldBy('t', digest('a'), BERT), undefined)
  await ledger.stageUpload(upload('a'))
  t.match(await publish('2', [named('a')]), { outcome: 'created' })
  t.same(await ledger.collectUploads(AFTER_THAT), [])
})

t.test('a ledger from before there were uploads keeps all that it had', async (t) => {
  const folder = t.testdir()
  const path = (name: string) => join(import.meta.dirname, '../../migrations', name)
  const db = new Database(join(folder, 'strongroom.db'))
  db.function('tensor_row_digest', { varargs: true }, () => null)
  for (const name of ['0001-registry.sql', '0002-inside-checkpoints.sql'])
    db.exec(readFileSync(path(name), 'utf8'))
  db.exec('PRAGMA user_version = 2; PRAGMA application_id = 0x5374726d')
  const time = '2026-01-01T00:00:00.000Z'
  const { revision } = publication('1')
  db.exec(`
    INSERT INTO tokens VALUES ('t', x'${digest('t')}', 'name', 'writer', '*', '${time}', NULL, NULL, NULL);
    INSERT INTO checkpoints VALUES (7, 'acme', 'bert', '${time}');
    INSERT INTO blobs VALUES (5, x'${digest('1')}', 10, 'safetensors', 4, 'a-copy', 'sealed', '{}', 0, 0, 1, '${time}');
    INSERT INTO leaf_pages VALUES (5, 0, zeroblob(96));
    INSERT INTO versions VALUES
      (9, 7, '1', x'${revision}', 'available', NULL, '{}', '[]', 10, 0, 0, '${time}', 'name');
    INSERT INTO files VALUES (9, 'model.safetensors', 5);
    INSERT INTO tags VALUES (7, 'latest', 9, '${time}'), (7, 'stable', 9, '${time}');
    INSERT INTO policies VALUES ('acme', '', '{"sidecars":false}', 3, '${time}', 'name')`)
  db.close()
  const ledger = await openAt(t, folder)
  t.match(await ledger.checkpoint('acme', 'bert'), {
    isDeleted: false,
    versions: [{ version: '1', revision, state: 'available' }],
    tags: { latest: '1', stable: '1' },
    branches: [],
    newBranches: [],
  })
  t.match(await ledger.filesOf(9), [{ path: 'model.safetensors', blob: { vaultId: 'a-copy' } }])
  t.match(await ledger.history(9, { skip: 0, limit: 2 }), [{ summary: 'Publish 1' }])
  t.match(await ledger.policies('acme', 'bert'), { owner: { rules: { sidecars: false } } })
  t.ok(await ledger.blobHeldBy('t', digest('1'), BART), 'whoever reads it has it')
  t.same(await ledger.stageUpload(upload('1')), { outcome: 'staged', retired: ['a-copy'] })
  t.same(await ledger.collectUploads(AFTER_THAT), [])
  const serials = { owner: 3, checkpoint: undefined }
  const commit = { branch: undefined, parent: revision, summary: 's', description: '' }
  const asked = { ...NOTHING_ASKED, serials }
  t.match(await ledger.publish(publication('2', { asked, commit })), { outcome: 'created' })
})
