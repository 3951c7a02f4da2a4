import t, { type Test } from 'tap'
import type { Withdrawal } from '../../db/changes.ts'
import { addToken, BERT, file, openAt, publication } from './fixture.ts'

const withdrawal = (version: string, fields: Partial<Withdrawal> = {}): Withdrawal => ({
  tokenId: 'a',
  roles: ['admin'],
  address: '192.0.2.1',
  owner: 'acme',
  name: 'bert',
  version,
  reason: 'poisoned',
  ...fields,
})

const revisionOf = (version: string): string => publication(version).revision

/** A ledger in which acme/bert has these versions, with a writer `t` and an admin `a`. */
async function ledgerWith(t: Test, ...versions: readonly string[]) {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  await addToken(ledger, 'a', { role: 'admin' })
  for (const version of versions) await ledger.publish(publication(version))
  return ledger
}

t.test('what is withdrawn says why, keeps its name and its files', async (t) => {
  const ledger = await ledgerWith(t, '1', '2')
  const before = await ledger.resolve('acme', 'bert', '1')
  const files = await ledger.filesOf(before?.version.id ?? 0)
  t.same(await ledger.withdraw(withdrawal('1', { owner: 'ACME' })), { outcome: 'withdrawn' })
  const after = await ledger.resolve('acme', 'bert', '1')
  t.match(after, { version: { state: 'withdrawn', withdrawnReason: 'poisoned', revision: /./ } })
  t.same(await ledger.filesOf(after?.version.id ?? 0), files)
  t.equal(await ledger.hasVaultId(files[0]?.blob.vaultId ?? ''), true)
  for (const content of ['1', 'other'])
    t.same(await ledger.publish(publication('1', { files: [file(content)] })), {
      outcome: 'withdrawn',
      reason: 'poisoned',
    })
  t.match(await ledger.audit({ after: 0, limit: 10, action: 'withdraw' }), [
    {
      actorId: 'a',
      actorName: "a's name",
      address: '192.0.2.1',
      subject: 'acme/bert@1',
      revision: revisionOf('1'),
      outcome: 'ok',
      details: {
        reason: 'poisoned',
        latest: revisionOf('2'),
        latest_version: '2',
        was_latest: false,
      },
    },
  ])
  t.match(await ledger.verifyAudit(), { valid: true })
})

t.test('a second withdrawal changes and enters nothing', async (t) => {
  const ledger = await ledgerWith(t, '1')
  await ledger.withdraw(withdrawal('1'))
  const head = await ledger.auditHead()
  t.same(await ledger.withdraw(withdrawal('1', { reason: 'other' })), {
    outcome: 'withdrawn_before',
  })
  t.same(await ledger.auditHead(), head)
  t.match(await ledger.resolve('acme', 'bert', '1'), { version: { withdrawnReason: 'poisoned' } })
})

t.test('latest goes to the last admitted version that is available, or away', async (t) => {
  const ledger = await ledgerWith(t, '3', '1', '2')
  const latest = async () => (await ledger.tag('acme', 'bert', 'latest'))?.version
  t.equal(await latest(), '2')
  await ledger.withdraw(withdrawal('3'))
  t.equal(await latest(), '2')
  await ledger.withdraw(withdrawal('2'))
  t.equal(await latest(), '1', 'not to 3, which is withdrawn')
  await ledger.withdraw(withdrawal('1'))
  t.equal(await latest(), undefined)
  const entries = await ledger.audit({ after: 0, limit: 10, action: 'withdraw' })
  t.match(entries, [
    { details: { latest: revisionOf('2'), was_latest: false } },
    { details: { latest: revisionOf('1'), latest_version: '1', was_latest: true } },
    { details: { latest: null, latest_version: null, was_latest: true } },
  ])
  await ledger.publish(publication('4'))
  t.equal(await latest(), '4')
  const query = { owner: 'acme', name: 'bert', tag: 'latest', before: undefined, limit: 10 }
  t.match(await ledger.tagHistory(query), [
    { action: 'publish', details: { previous: null } },
    { action: 'withdraw' },
    { action: 'withdraw' },
    { action: 'withdraw' },
    { action: 'publish', details: { previous: revisionOf('1') } },
    { action: 'publish' },
    { action: 'publish' },
  ])
})

t.test('other tags go on naming what was withdrawn', async (t) => {
  const ledger = await ledgerWith(t, '1')
  const moving = { tokenId: 'a', roles: ['admin'], rolesIfProtected: ['admin'] } as const
  const what = { owner: 'acme', name: 'bert', tag: 'stable', ref: '1', expected: undefined }
  await ledger.moveTag({ ...moving, ...what, isProtected: false, address: undefined })
  await ledger.withdraw(withdrawal('1'))
  t.match(await ledger.resolve('acme', 'bert', 'stable'), {
    via: 'tag',
    version: { state: 'withdrawn', tags: ['stable'] },
  })
})

t.test('only the version’s own name withdraws it', async (t) => {
  const ledger = await ledgerWith(t, '1.0')
  for (const ref of ['latest', revisionOf('1.0'), revisionOf('1.0').slice(0, 12), '1', '1.0 '])
    t.same(await ledger.withdraw(withdrawal(ref)), { outcome: 'version_missing' }, ref)
  t.same(await ledger.withdraw(withdrawal('1.0', { name: 'none' })), {
    outcome: 'checkpoint_missing',
  })
})

t.test('who may not is refused inside the transaction', async (t) => {
  const ledger = await ledgerWith(t, '1')
  await addToken(ledger, 'elsewhere', { role: 'admin', scope: 'acme/bart' })
  const revoked = ledger.revokeToken('a', { action: 'token.revoke', outcome: 'ok' })
  const meanwhile = ledger.withdraw(withdrawal('1'))
  await revoked
  t.same(await meanwhile, { outcome: 'unauthenticated' })
  for (const [tokenId, outcome] of [
    ['nobody', 'unauthenticated'],
    ['t', 'forbidden'],
    ['elsewhere', 'forbidden'],
  ] as const)
    t.same(await ledger.withdraw(withdrawal('1', { tokenId })), { outcome }, tokenId)
  t.match(await ledger.resolve('acme', 'bert', '1'), { version: { state: 'available' } })
})

t.test(
  'nobody holds the bytes of what was withdrawn, unless another version has them',
  async (t) => {
    const ledger = await ledgerWith(t)
    const shared = file('shared')
    await ledger.publish(publication('1', { files: [shared] }))
    await ledger.publish(publication('2', { files: [file('shared')] }))
    await ledger.withdraw(withdrawal('1'))
    t.match(await ledger.blobHeldBy('a', shared.sha256, BERT), { version: { revision: /./ } })
    await ledger.withdraw(withdrawal('2'))
    t.equal(await ledger.blobHeldBy('a', shared.sha256, BERT), undefined)
    const named = [{ path: 'model.safetensors', sha256: shared.sha256, size: 10, blob: undefined }]
    t.same(await ledger.publish(publication('3', { files: named })), {
      outcome: 'blob_missing',
      path: 'model.safetensors',
    })
  },
)
