import t, { type Test } from 'tap'
import type { TagChange, TagMove } from '../../db/changes.ts'
import { addToken, BERT, openAt, publication, sha256 } from './fixture.ts'

const change = (tag: string, fields: Partial<TagChange> = {}): TagChange => ({
  tokenId: 't',
  roles: ['writer', 'admin'],
  address: undefined,
  ...BERT,
  tag,
  rolesIfProtected: ['admin'],
  isProtected: false,
  expected: undefined,
  ...fields,
})
const move = (tag: string, ref: string, fields: Partial<TagMove> = {}): TagMove => ({
  ...change(tag),
  ref,
  ...fields,
})
const onto = (branch: string | undefined, parent: string | null) => ({
  commit: { branch, parent, summary: 's', description: '' },
})
const revisionOf = (version: string): string => publication(version).revision

/** A ledger in which acme/bert was published once, or with no version only created. */
async function started(t: Test, ...versions: readonly string[]) {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  await addToken(ledger, 'a', { role: 'admin' })
  for (const version of versions) await ledger.publish(publication(version))
  if (versions.length === 0) {
    const rules = { tokenId: 'a', roles: ['admin'], address: undefined } as const
    const owner = { ...rules, owner: 'acme', name: undefined, mustResolve: undefined }
    await ledger.setPolicy({ ...owner, rules: { sidecars: true } })
    await ledger.createCheckpoint({ ...rules, ...BERT })
  }
  const serials = {
    owner: (await ledger.policies('acme')).owner?.serial,
    checkpoint: undefined,
  }
  const asked = { serials, finite: false, sameTensorsAs: undefined }
  const named = async () => {
    const found = await ledger.checkpoint('acme', 'bert')
    return { tags: found?.tags, branches: found?.branches, newBranches: found?.newBranches }
  }
  const publish = (version: string, fields: object = {}) =>
    ledger.publish(publication(version, { asked, ...fields }))
  return { ledger, publish, named }
}

t.test('a branch without a commit is there, and its first commit makes it one', async (t) => {
  const { ledger, publish, named } = await started(t)
  t.same(await ledger.startBranch(change('dev')), { outcome: 'started' })
  t.match(await named(), { branches: [], newBranches: ['dev'] })
  t.match(await ledger.startBranch(change('dev')), { outcome: 'unexpected' })
  t.match(await publish('r1', onto('dev', null)), { outcome: 'created' })
  t.match(await named(), { tags: { dev: 'r1' }, branches: ['dev'], newBranches: [] })
  t.equal(await ledger.tag('acme', 'bert', 'latest'), undefined, 'main has none of it')
  t.match(await ledger.startBranch(change('dev')), { outcome: 'unexpected' })
  t.match(await ledger.dropBranch(change('dev')), { outcome: 'tag_missing' })
})

t.test('a branch without a commit is ended', async (t) => {
  const { ledger, publish, named } = await started(t)
  await ledger.startBranch(change('dev'))
  t.same(await ledger.dropBranch(change('dev')), { outcome: 'dropped' })
  t.same(await ledger.dropBranch(change('dev')), { outcome: 'tag_missing' })
  t.match(await named(), { newBranches: [] })
  t.match(await publish('r1', onto('dev', null)), { outcome: 'branch_missing' })
  t.equal(await ledger.resolve('acme', 'bert', 'r1'), undefined)
})

t.test('a branch’s name is no version’s, and a version’s no branch’s', async (t) => {
  const { ledger, publish, named } = await started(t)
  await ledger.startBranch(change('dev'))
  t.match(await publish('dev'), { outcome: 'tag_exists' })
  await publish('v')
  t.match(await ledger.startBranch(change('v')), { outcome: 'version_exists' })
  t.match(await publish('r1', onto('dev', null)), { outcome: 'created' })
  t.match(await publish('dev'), { outcome: 'tag_exists' })
  t.match(await named(), { tags: { dev: 'r1', latest: 'v' } })
})

t.test('a branch without a commit stays one when it is pointed at a version', async (t) => {
  const { ledger, publish, named } = await started(t)
  await ledger.startBranch(change('dev'))
  const made = publication('v').revision
  await publish('v')
  t.match(await ledger.moveTag(move('dev', 'v', { expected: null, kind: 'branch' })), {
    outcome: 'unexpected',
  })
  t.match(await ledger.moveTag(move('dev', 'v')), { outcome: 'created' })
  t.match(await named(), { branches: ['dev'], newBranches: [] })
  t.match(await publish('r2', onto('dev', made)), { outcome: 'created' })
  t.match(await named(), { tags: { dev: 'r2', latest: 'v' } })
})

t.test('a commit to a branch leaves main where it is, and the other way around', async (t) => {
  const { ledger, publish, named } = await started(t, '1')
  await ledger.moveTag(move('dev', '1', { kind: 'branch' }))
  const first = revisionOf('1')
  t.match(await publish('r2', onto('dev', first)), { outcome: 'created' })
  t.match(await publish('r3', onto(undefined, first)), { outcome: 'created' })
  t.match(await named(), { tags: { dev: 'r2', latest: 'r3' }, branches: ['dev'] })
  t.match((await ledger.audit({ after: 0, limit: 10, action: 'publish' })).slice(1), [
    { subject: 'acme/bert@r2', details: { previous: first, branch: 'dev' } },
    { subject: 'acme/bert@r3', details: { previous: first } },
  ])
  t.match(await ledger.verifyAudit(), { valid: true })
})

t.test('a commit that isn’t built upon the head is refused, and nothing stays', async (t) => {
  const { ledger, publish, named } = await started(t, '1')
  await ledger.moveTag(move('dev', '1', { kind: 'branch' }))
  await ledger.moveTag(move('v1', '1'))
  await ledger.startBranch(change('empty'))
  const first = revisionOf('1')
  const other = sha256('another').toString('hex')
  const before = await named()
  const refusals: readonly (readonly [string | undefined, string | null, object])[] = [
    [undefined, other, { outcome: 'head_moved', current: first }],
    [undefined, null, { outcome: 'head_moved', current: first }],
    ['dev', other, { outcome: 'head_moved', current: first }],
    ['dev', null, { outcome: 'head_moved', current: first }],
    ['empty', first, { outcome: 'head_moved', current: null }],
    ['none', null, { outcome: 'branch_missing' }],
    ['v1', first, { outcome: 'branch_missing' }],
    ['latest', first, { outcome: 'branch_missing' }],
    ['1', first, { outcome: 'branch_missing' }],
  ]
  for (const [branch, parent, refusal] of refusals)
    t.match(await publish('r2', onto(branch, parent)), refusal, `${branch} ${parent}`)
  t.match(await publish('r2', { name: 'none', ...onto(undefined, null) }), {
    outcome: 'checkpoint_missing',
  })
  t.same(await named(), before)
  t.equal(await ledger.resolve('acme', 'bert', 'r2'), undefined)
})

t.test('only an admin commits to a branch that a policy protects', async (t) => {
  const { ledger, publish } = await started(t)
  const setting = { tokenId: 'a', roles: ['admin'], address: undefined, ...BERT } as const
  const rules = { protected_tags: ['release*'] }
  await ledger.startBranch(change('release', { tokenId: 'a' }))
  await ledger.setPolicy({ ...setting, rules, mustResolve: undefined })
  const levels = await ledger.policies('acme', 'bert')
  const serials = { owner: levels.owner?.serial, checkpoint: levels.checkpoint?.serial }
  const asked = { serials, finite: false, sameTensorsAs: undefined }
  const commit = { asked, ...onto('release', null) }
  t.match(await publish('r1', commit), { outcome: 'branch_protected' })
  t.match(await ledger.startBranch(change('release-2')), { outcome: 'protected' })
  t.match(await ledger.dropBranch(change('release')), { outcome: 'protected' })
  t.match(await ledger.startBranch(change('latest', { tokenId: 'a' })), { outcome: 'protected' })
  t.match(await publish('r1', { ...commit, tokenId: 'a' }), { outcome: 'created' })
})

t.test('when main’s newest is withdrawn, main falls back past what is on branches', async (t) => {
  const { ledger, publish } = await started(t, '1')
  const first = revisionOf('1')
  await ledger.moveTag(move('dev', '1', { kind: 'branch' }))
  await publish('r2', onto(undefined, first))
  await publish('side', onto('dev', first))
  const withdraw = (version: string) =>
    ledger.withdraw({ ...change(''), tokenId: 'a', version, reason: 'bad' })
  const latest = async () => (await ledger.tag('acme', 'bert', 'latest'))?.version
  await withdraw('r2')
  t.equal(await latest(), '1')
  await withdraw('1')
  t.equal(await latest(), undefined, 'nothing of a branch is on main')
  t.equal((await ledger.tag('acme', 'bert', 'dev'))?.version, 'side')
  t.match(await publish('r4', onto(undefined, null)), { outcome: 'created' })
  t.equal(await latest(), 'r4')
})

t.test('there are only so many branches without a commit', async (t) => {
  const { ledger } = await started(t)
  const names = Array.from({ length: 1000 }, (_, i) => `b${i}`)
  const outcomes = await Promise.all(names.map((name) => ledger.startBranch(change(name))))
  t.ok(outcomes.every(({ outcome }) => outcome === 'started'))
  t.same(await ledger.startBranch(change('one-more')), { outcome: 'too_many' })
  await ledger.dropBranch(change('b7'))
  t.same(await ledger.startBranch(change('one-more')), { outcome: 'started' })
})

t.test('who may not is refused inside the transaction', async (t) => {
  const { ledger } = await started(t)
  await addToken(ledger, 'r', { role: 'reader' })
  await addToken(ledger, 'elsewhere', { scope: 'acme/bart' })
  for (const [tokenId, outcome] of [
    ['nobody', 'unauthenticated'],
    ['r', 'forbidden'],
    ['elsewhere', 'forbidden'],
  ] as const)
    t.same(
      [
        await ledger.startBranch(change('dev', { tokenId })),
        await ledger.dropBranch(change('dev', { tokenId })),
      ],
      [{ outcome }, { outcome }],
      tokenId,
    )
  t.match(await ledger.startBranch(change('dev', { name: 'none' })), {
    outcome: 'checkpoint_missing',
  })
})
