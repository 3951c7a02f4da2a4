import t, { type Test } from 'tap'
import type { CheckpointChange, PolicyRules } from '../../db/changes.ts'
import { addToken, BERT, file, NOTHING_ASKED, openAt, publication } from './fixture.ts'

const actor = { tokenId: 'a', roles: ['admin'], address: '192.0.2.1' } as const
const change = (fields: Partial<CheckpointChange> = {}): CheckpointChange => ({
  ...actor,
  ...BERT,
  ...fields,
})
const deletion = (fields: Partial<CheckpointChange> = {}) => ({
  ...change(fields),
  reason: 'deleted by a client',
})

async function started(t: Test) {
  const ledger = await openAt(t, t.testdir(), Buffer.alloc(32, 7))
  await addToken(ledger)
  await addToken(ledger, 'a', { role: 'admin' })
  async function publish(version: string, fields: object = {}) {
    const levels = await ledger.policies('acme', 'bert')
    const serials = { owner: levels.owner?.serial, checkpoint: levels.checkpoint?.serial }
    const asked = { ...NOTHING_ASKED, serials }
    return ledger.publish(publication(version, { asked, ...fields }))
  }
  const setPolicy = (name: string | undefined, rules: PolicyRules) =>
    ledger.setPolicy({ ...actor, owner: 'acme', name, rules, mustResolve: undefined })
  const listed = () => ledger.checkpoints({ scope: '*', limit: 10 })
  return { ledger, publish, setPolicy, listed }
}

t.test('a checkpoint is made before its first version, and admits sidecars', async (t) => {
  const { ledger, publish, listed } = await started(t)
  t.same(await ledger.createCheckpoint(change()), { outcome: 'created', ...BERT })
  t.match(await ledger.checkpoint('acme', 'bert'), { versions: [], tags: {}, isDeleted: false })
  t.same(await listed(), [], 'there is nothing to read in it')
  t.match(await ledger.policies('acme', 'bert'), { checkpoint: { rules: { sidecars: true } } })
  t.same(await ledger.createCheckpoint(change({ owner: 'ACME', name: 'Bert' })), {
    outcome: 'exists',
    ...BERT,
  })
  t.match(await ledger.audit({ after: 0, limit: 10, action: 'policy' }), [
    {
      actorId: 'a',
      address: '192.0.2.1',
      subject: 'acme/bert',
      details: { created: true, rules: { sidecars: true }, replaced: null },
    },
  ])
  t.match(await publish('1', { owner: 'Acme' }), { outcome: 'spelled_differently', ...BERT })
  t.match(await publish('1'), { outcome: 'created' })
  t.match(await listed(), [{ name: 'bert', versions: 1 }])
  t.match(await ledger.verifyAudit(), { valid: true })
})

t.test('who publishes natively made it, and it has the rules that it had', async (t) => {
  const { ledger, publish } = await started(t)
  await publish('1')
  t.match(await ledger.createCheckpoint(change()), { outcome: 'exists' })
  t.same(await ledger.policies('acme', 'bert'), { owner: undefined, checkpoint: undefined })
})

t.test('what an owner or a policy says of sidecars goes on holding', async (t) => {
  for (const [name, rules, expected] of [
    [undefined, { sidecars: false }, undefined],
    [undefined, { finite: true }, { sidecars: true }],
    ['bert', { finite: true }, { finite: true }],
  ] as const) {
    const { ledger, setPolicy } = await started(t)
    await setPolicy(name, rules)
    t.match(await ledger.createCheckpoint(change()), { outcome: 'created' })
    t.same((await ledger.policies('acme', 'bert')).checkpoint?.rules, expected)
    const [, entry] = await ledger.audit({ after: 0, limit: 10, action: 'policy' })
    t.match(entry?.details, { created: true })
    await ledger.close()
  }
})

t.test('deleted, all is withdrawn, and neither tag nor branch stays', async (t) => {
  const { ledger, publish } = await started(t)
  await ledger.createCheckpoint(change())
  await publish('1')
  await publish('2')
  const moving = { ...change(), rolesIfProtected: ['admin'], isProtected: false } as const
  const anywhere = { ...moving, expected: undefined }
  await ledger.moveTag({ ...anywhere, tag: 'v1', ref: '1' })
  await ledger.moveTag({ ...anywhere, tag: 'dev', ref: '2', kind: 'branch' })
  await ledger.startBranch({ ...anywhere, tag: 'new' })
  await ledger.withdraw({ ...change(), version: '1', reason: 'before' })
  t.same(await ledger.deleteCheckpoint(deletion({ owner: 'ACME' })), { outcome: 'deleted' })
  t.match(await ledger.checkpoint('acme', 'bert'), {
    isDeleted: true,
    versions: [{ state: 'withdrawn' }, { state: 'withdrawn' }],
    branches: [],
    newBranches: [],
  })
  t.same((await ledger.checkpoint('acme', 'bert'))?.tags, {})
  t.match(await ledger.resolve('acme', 'bert', '1'), { version: { withdrawnReason: 'before' } })
  t.match(await ledger.resolve('acme', 'bert', '2'), {
    version: { withdrawnReason: 'deleted by a client' },
  })
  t.equal(await ledger.blobHeldBy('a', file('2').sha256, BERT), undefined)
  t.match((await ledger.audit({ after: 0, limit: 10, action: 'withdraw' })).slice(1), [
    { subject: 'acme/bert@2', details: { reason: 'deleted by a client' } },
    { subject: 'acme/bert', details: { deleted: true, versions: 1 } },
  ])
  t.match(await ledger.verifyAudit(), { valid: true })
  t.same(await ledger.deleteCheckpoint(deletion()), { outcome: 'checkpoint_missing' }, 'twice')
  t.match(await ledger.startBranch({ ...anywhere, tag: 'new' }), { outcome: 'checkpoint_missing' })
  const commit = { branch: undefined, parent: null, summary: '', description: '' }
  t.match(await publish('3', { commit }), { outcome: 'checkpoint_missing' })
})

t.test(
  'made anew, it begins with nothing, under its policy, and old names stay used',
  async (t) => {
    const { ledger, publish, setPolicy } = await started(t)
    await ledger.createCheckpoint(change())
    await publish('1')
    await setPolicy('bert', { sidecars: false })
    await ledger.deleteCheckpoint(deletion())
    t.same(await ledger.createCheckpoint(change({ name: 'BERT' })), { outcome: 'created', ...BERT })
    t.match(await ledger.checkpoint('acme', 'bert'), { isDeleted: false })
    t.match(await ledger.policies('acme', 'bert'), { checkpoint: { rules: { sidecars: false } } })
    t.equal(await ledger.tag('acme', 'bert', 'latest'), undefined)
    t.match(await publish('1'), { outcome: 'withdrawn' })
    const commit = { branch: undefined, parent: null, summary: '', description: '' }
    t.match(await publish('2', { commit }), { outcome: 'created' })
    t.equal((await ledger.tag('acme', 'bert', 'latest'))?.version, '2')
    t.match(await ledger.verifyAudit(), { valid: true })
  },
)

t.test('a native publish makes a deleted checkpoint anew, unless it is refused', async (t) => {
  const { ledger, publish } = await started(t)
  await publish('1')
  await ledger.deleteCheckpoint(deletion())
  const missing = [{ ...file('none'), blob: undefined }]
  t.match(await publish('2', { files: missing }), { outcome: 'blob_missing' })
  t.match(await ledger.checkpoint('acme', 'bert'), { isDeleted: true })
  t.match(await publish('2'), { outcome: 'created' })
  t.match(await ledger.checkpoint('acme', 'bert'), { isDeleted: false, tags: { latest: '2' } })
})

t.test('who may not is refused inside the transaction', async (t) => {
  const { ledger, publish } = await started(t)
  await publish('1')
  await addToken(ledger, 'elsewhere', { role: 'admin', scope: 'acme/bart' })
  for (const [tokenId, outcome] of [
    ['nobody', 'unauthenticated'],
    ['t', 'forbidden'],
    ['elsewhere', 'forbidden'],
  ] as const) {
    t.same(await ledger.deleteCheckpoint(deletion({ tokenId })), { outcome }, tokenId)
    t.same(await ledger.createCheckpoint(change({ tokenId, name: 'new' })), { outcome }, tokenId)
  }
  t.equal(await ledger.checkpoint('acme', 'new'), undefined)
  t.match(await ledger.resolve('acme', 'bert', '1'), { version: { state: 'available' } })
  t.same(await ledger.deleteCheckpoint(deletion({ name: 'none' })), {
    outcome: 'checkpoint_missing',
  })
})

t.test('of many who make it at once one does', async (t) => {
  const { ledger } = await started(t)
  const names = ['bert', 'Bert', 'BERT', 'bert']
  const outcomes = await Promise.all(names.map((name) => ledger.createCheckpoint(change({ name }))))
  t.same(
    outcomes.map(({ outcome }) => outcome),
    ['created', 'exists', 'exists', 'exists'],
  )
  t.match(outcomes, [{ name: 'bert' }, { name: 'bert' }, { name: 'bert' }, { name: 'bert' }])
})
