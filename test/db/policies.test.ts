import t from 'tap'
import type { PolicyChange } from '../../db/changes.ts'
import { addToken, openAt, publication } from './fixture.ts'

const change = (fields: Partial<PolicyChange> = {}): PolicyChange => ({
  tokenId: 'admin',
  roles: ['admin'],
  address: '192.0.2.1',
  owner: 'acme',
  name: 'bert',
  rules: { finite: true },
  mustResolve: undefined,
  ...fields,
})

const ofOwner = (fields: Partial<PolicyChange> = {}) => change({ name: undefined, ...fields })

t.test('both levels are found in any case, each with a serial that grows', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger, 'admin', { role: 'admin' })
  t.same(await ledger.policies('acme', 'bert'), { owner: undefined, checkpoint: undefined })
  t.same(await ledger.setPolicy(change({ owner: 'Acme' })), {
    outcome: 'set',
    levels: { owner: undefined, checkpoint: { rules: { finite: true }, serial: 1 } },
  })
  await ledger.setPolicy(ofOwner({ rules: { max_size: 5 } }))
  const both = {
    owner: { rules: { max_size: 5 }, serial: 2 },
    checkpoint: { rules: { finite: true }, serial: 1 },
  }
  t.same(await ledger.policies('ACME', 'BERT'), both)
  t.same(await ledger.policies('acme', 'other'), { owner: both.owner, checkpoint: undefined })
  t.same(await ledger.policies('acme'), { owner: both.owner, checkpoint: undefined })
  await ledger.setPolicy(change({ rules: {} }))
  t.same((await ledger.policies('acme', 'bert')).checkpoint, { rules: {}, serial: 3 })
})

t.test('what a level says already changes and enters nothing', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger, 'admin', { role: 'admin' })
  const { levels } = (await ledger.setPolicy(change())) as { levels: unknown }
  const head = await ledger.auditHead()
  t.same(await ledger.setPolicy(change()), { outcome: 'unchanged', levels })
  t.same(await ledger.auditHead(), head)
})

t.test('who may not set it is refused inside the transaction, and nothing stays', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger, 'admin', { role: 'admin' })
  await addToken(ledger, 'writer')
  await addToken(ledger, 'elsewhere', { role: 'admin', scope: 'acme/bart' })
  await addToken(ledger, 'prefix', { role: 'admin', scope: 'acme/b*' })
  await addToken(ledger, 'expired', { role: 'admin', expiresAt: '2020-01-01T00:00:00Z' })
  const revoked = ledger.revokeToken('admin', { action: 'token.revoke', outcome: 'ok' })
  const meanwhile = ledger.setPolicy(change())
  await revoked
  t.same(await meanwhile, { outcome: 'unauthenticated' })
  const table = [
    ['nobody', 'unauthenticated'],
    ['expired', 'unauthenticated'],
    ['writer', 'forbidden'],
    ['elsewhere', 'forbidden'],
  ] as const
  for (const [tokenId, outcome] of table) {
    t.same(await ledger.setPolicy(change({ tokenId })), { outcome }, tokenId)
    t.same(await ledger.setPolicy(ofOwner({ tokenId })), { outcome }, tokenId)
  }
  t.same(await ledger.setPolicy(ofOwner({ tokenId: 'prefix' })), { outcome: 'forbidden' })
  t.same(await ledger.policies('acme', 'bert'), { owner: undefined, checkpoint: undefined })
  t.same(await ledger.audit({ after: 0, limit: 10, action: 'policy' }), [])
  t.match(await ledger.setPolicy(change({ tokenId: 'prefix' })), { outcome: 'set' })
})

t.test('what must be there is looked for in the reach of the token', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  await addToken(ledger, 'admin', { role: 'admin', scope: 'acme/*' })
  await ledger.publish(publication('1'))
  await ledger.publish(publication('1', { owner: 'other' }))
  const refused = { outcome: 'ref_missing' }
  for (const [owner, ref] of [
    ['acme', '2'],
    ['nobody', '1'],
    ['other', '1'],
  ] as const) {
    const mustResolve = { owner, name: 'bert', ref }
    t.same(await ledger.setPolicy(change({ mustResolve })), refused, `${owner} ${ref}`)
  }
  for (const ref of ['1', 'latest', publication('1').revision.slice(0, 12)]) {
    const mustResolve = { owner: 'Acme', name: 'Bert', ref }
    t.match(await ledger.setPolicy(change({ mustResolve })), { outcome: /set|unchanged/ }, ref)
  }
})

t.test('an entry holds the new rules and those that they replaced', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  await addToken(ledger, 'admin', { role: 'admin' })
  await ledger.publish(publication('1', { name: 'Bert' }))
  await ledger.setPolicy(change({ owner: 'ACME', name: 'BERT' }))
  await ledger.setPolicy(change({ rules: {} }))
  await ledger.setPolicy(ofOwner())
  t.match(await ledger.audit({ after: 0, limit: 10, action: 'policy' }), [
    {
      actorId: 'admin',
      actorName: "admin's name",
      address: '192.0.2.1',
      subject: 'acme/Bert',
      outcome: 'ok',
      details: { rules: { finite: true }, replaced: null },
    },
    { subject: 'acme/Bert', details: { rules: {}, replaced: { finite: true } } },
    { subject: 'acme', details: { rules: { finite: true }, replaced: null } },
  ])
  t.match(await ledger.verifyAudit(), { valid: true })
})
