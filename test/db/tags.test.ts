import t, { type Test } from 'tap'
import type { PolicyRules, TagChange, TagMove } from '../../db/changes.ts'
import { addToken, openAt, publication, tamper } from './fixture.ts'

const change = (fields: Partial<TagChange> = {}): TagChange => ({
  tokenId: 't',
  roles: ['writer', 'admin'],
  rolesIfProtected: ['admin'],
  isProtected: false,
  address: '192.0.2.1',
  owner: 'acme',
  name: 'bert',
  tag: 'stable',
  expected: undefined,
  ...fields,
})

const move = (ref: string, fields: Partial<TagChange> = {}): TagMove => ({ ...change(fields), ref })
const revisionOf = (version: string): string => publication(version).revision

/** A ledger in which acme/bert has versions 1 and 2, a writer `t` and an admin `a`. */
async function ledgerWith(t: Test, folder = t.testdir()) {
  const ledger = await openAt(t, folder)
  await addToken(ledger)
  await addToken(ledger, 'a', { role: 'admin' })
  for (const version of ['1', '2']) await ledger.publish(publication(version))
  const setPolicy = (name: string | undefined, rules: PolicyRules) =>
    ledger.setPolicy({
      tokenId: 'a',
      roles: ['admin'],
      address: undefined,
      owner: 'acme',
      name,
      rules,
      mustResolve: undefined,
    })
  return { ledger, setPolicy }
}

t.test('a tag is made, moved and deleted, and every change is entered', async (t) => {
  const { ledger } = await ledgerWith(t)
  const [one, two] = [revisionOf('1'), revisionOf('2')]
  t.same(await ledger.moveTag(move('1')), {
    outcome: 'created',
    version: '1',
    revision: one,
    previous: null,
  })
  t.match(await ledger.tag('ACME', 'Bert', 'stable'), {
    version: '1',
    revision: one,
    movedAt: /Z$/,
  })
  t.match(await ledger.resolve('acme', 'bert', 'stable'), { version: { tags: ['stable'] } })
  t.same(await ledger.moveTag(move('latest', { owner: 'ACME' })), {
    outcome: 'moved',
    version: '2',
    revision: two,
    previous: one,
  })
  t.same(await ledger.deleteTag(change()), { outcome: 'deleted' })
  t.equal(await ledger.tag('acme', 'bert', 'stable'), undefined)
  t.match(await ledger.audit({ after: 0, limit: 10, action: 'tag' }), [
    {
      actorId: 't',
      actorName: "t's name",
      address: '192.0.2.1',
      subject: 'acme/bert@stable',
      revision: one,
      outcome: 'ok',
      details: { from: null, to: one, version: '1' },
    },
    { subject: 'acme/bert@stable', revision: two, details: { from: one, to: two, version: '2' } },
    { revision: two, details: { from: two, to: null, version: null } },
  ])
  t.match(await ledger.verifyAudit(), { valid: true })
})

t.test('a tag that is there already moves nothing and enters nothing', async (t) => {
  const { ledger } = await ledgerWith(t)
  await ledger.moveTag(move('1'))
  const before = [await ledger.auditHead(), await ledger.tag('acme', 'bert', 'stable')]
  for (const ref of ['1', 'stable', revisionOf('1'), revisionOf('1').slice(0, 12)])
    t.match(await ledger.moveTag(move(ref)), { outcome: 'unchanged', previous: revisionOf('1') })
  t.same([await ledger.auditHead(), await ledger.tag('acme', 'bert', 'stable')], before)
})

t.test('compare and set: a tag moves from what was expected, or not at all', async (t) => {
  const { ledger } = await ledgerWith(t)
  const [one, two] = [revisionOf('1'), revisionOf('2')]
  const unexpected = (current: string | null) => ({ outcome: 'unexpected', current })
  t.same(await ledger.moveTag(move('1', { expected: one })), unexpected(null))
  t.match(await ledger.moveTag(move('1', { expected: null })), { outcome: 'created' })
  t.same(await ledger.moveTag(move('2', { expected: null })), unexpected(one))
  t.same(await ledger.moveTag(move('2', { expected: two })), unexpected(one))
  t.same(await ledger.moveTag(move('1', { expected: two })), unexpected(one), 'even to stay')
  t.match(await ledger.moveTag(move('2', { expected: one })), { outcome: 'moved' })
  t.same(await ledger.deleteTag(change({ expected: one })), unexpected(two))
  t.same(await ledger.deleteTag(change({ expected: two })), { outcome: 'deleted' })
  t.same(await ledger.deleteTag(change({ expected: two })), { outcome: 'tag_missing' })
})

t.test('of many moves that expect the same exactly one wins', async (t) => {
  const { ledger } = await ledgerWith(t)
  const expected = null
  const outcomes = await Promise.all(
    ['1', '2', '1', '2'].map((ref) => ledger.moveTag(move(ref, { expected }))),
  )
  t.same(outcomes.map(({ outcome }) => outcome).sort(), [
    'created',
    'unexpected',
    'unexpected',
    'unexpected',
  ])
  t.equal((await ledger.audit({ after: 0, limit: 10, action: 'tag' })).length, 1)
})

t.test('who may not is refused inside the transaction', async (t) => {
  const { ledger } = await ledgerWith(t)
  await addToken(ledger, 'reader', { role: 'reader' })
  await addToken(ledger, 'elsewhere', { scope: 'acme/bart' })
  await ledger.moveTag(move('1'))
  const revoked = ledger.revokeToken('t', { action: 'token.revoke', outcome: 'ok' })
  const meanwhile = ledger.moveTag(move('2'))
  await revoked
  t.same(await meanwhile, { outcome: 'unauthenticated' })
  const table = [
    ['nobody', 'unauthenticated'],
    ['t', 'unauthenticated'],
    ['reader', 'forbidden'],
    ['elsewhere', 'forbidden'],
  ] as const
  for (const [tokenId, outcome] of table) {
    t.same(await ledger.moveTag(move('2', { tokenId })), { outcome }, tokenId)
    t.same(await ledger.deleteTag(change({ tokenId })), { outcome }, tokenId)
  }
  t.match(await ledger.tag('acme', 'bert', 'stable'), { version: '1' })
})

t.test('what is not there is said to be missing, and what was withdrawn withdrawn', async (t) => {
  const folder = t.testdir()
  const { ledger } = await ledgerWith(t, folder)
  t.same(await ledger.moveTag(move('1', { name: 'none' })), { outcome: 'checkpoint_missing' })
  t.same(await ledger.deleteTag(change({ name: 'none' })), { outcome: 'checkpoint_missing' })
  t.same(await ledger.moveTag(move('3')), { outcome: 'version_missing' })
  t.same(await ledger.deleteTag(change()), { outcome: 'tag_missing' })
  t.same(await ledger.moveTag(move('2', { tag: '1' })), {
    outcome: 'version_exists',
    revision: revisionOf('1'),
  })
  tamper(folder, "UPDATE versions SET state = 'withdrawn', withdrawn_reason = 'no' WHERE id = 1")
  t.same(await ledger.moveTag(move('1')), { outcome: 'withdrawn', reason: 'no' })
})

t.test('nobody moves latest, and a protected tag only who may', async (t) => {
  const { ledger, setPolicy } = await ledgerWith(t)
  const isProtected = { outcome: 'protected', current: revisionOf('2') }
  for (const tokenId of ['t', 'a']) {
    t.same(await ledger.moveTag(move('1', { tokenId, tag: 'latest' })), isProtected)
    t.same(await ledger.deleteTag(change({ tokenId, tag: 'latest' })), isProtected)
  }
  await setPolicy(undefined, { protected_tags: ['stable', 'prod*'] })
  t.same(await ledger.moveTag(move('1')), { outcome: 'protected', current: null })
  t.match(await ledger.moveTag(move('1', { tokenId: 'a' })), { outcome: 'created' })
  const current = revisionOf('1')
  t.same(await ledger.moveTag(move('2')), { outcome: 'protected', current })
  t.same(await ledger.deleteTag(change()), { outcome: 'protected', current })
  await setPolicy('bert', { finite: false })
  t.match(
    await ledger.moveTag(move('2')),
    { outcome: 'protected' },
    'this level says nothing of it',
  )
  await setPolicy('bert', { protected_tags: [] })
  t.match(await ledger.moveTag(move('2')), { outcome: 'moved' }, 'the nearest level wins')
  t.match(await ledger.moveTag(move('1', { isProtected: true })), { outcome: 'protected' })
})

t.test('a pattern protects what its stars stand for, in its own case', async (t) => {
  const { ledger, setPolicy } = await ledgerWith(t)
  const table = [
    ['*', 'anything', true],
    ['prod', 'prod', true],
    ['prod', 'Prod', false],
    ['prod', 'production', false],
    ['prod*', 'prod', true],
    ['prod*', 'production', true],
    ['prod*', 'preprod', false],
    ['*prod', 'preprod', true],
    ['a*b*c', 'axxbyyc', true],
    ['a*b*c', 'axxbyy', false],
    ['v1.0', 'v1x0', false],
    ['v1_0', 'v1x0', false],
    ['*a*a*a*a*a*a*a*a*b', 'a'.repeat(128), false],
  ] as const
  for (const [pattern, tag, expected] of table) {
    await setPolicy('bert', { protected_tags: ['other', pattern] })
    const { outcome } = await ledger.moveTag(move('1', { tag, expected: 'never' }))
    t.equal(outcome, expected ? 'protected' : 'unexpected', `${pattern} ${tag}`)
  }
})

t.test('a history is a tag’s own, newest first, a page at a time', async (t) => {
  const { ledger } = await ledgerWith(t)
  for (const ref of ['1', '2', '1']) await ledger.moveTag(move(ref))
  await ledger.moveTag(move('1', { tag: 'stable2' }))
  await ledger.appendAudit([
    { action: 'refuse', subject: 'acme/bert@stable', outcome: 'FORBIDDEN' },
  ])
  await ledger.deleteTag(change())
  const query = { owner: 'ACME', name: 'bert', tag: 'stable', before: undefined, limit: 3 }
  const page = (await ledger.tagHistory(query)) ?? []
  t.match(page, [
    { details: { to: null } },
    { details: { version: '1' } },
    { details: { version: '2' } },
  ])
  const rest = (await ledger.tagHistory({ ...query, before: page.at(-1)?.seq })) ?? []
  t.match(rest, [{ details: { from: null, version: '1' } }])
  t.equal(rest.length, 1)
  t.same(await ledger.tagHistory({ ...query, tag: 'none' }), [])
  t.equal(await ledger.tagHistory({ ...query, name: 'none' }), undefined)
})

t.test('the history of latest is that of publications, and of no other checkpoint', async (t) => {
  const { ledger } = await ledgerWith(t)
  await ledger.publish(publication('1', { name: 'bert2' }))
  await ledger.moveTag(move('1'))
  await ledger.appendAudit([{ action: 'download', subject: 'acme/bert@1', outcome: 'ok' }])
  const query = { owner: 'acme', name: 'bert', tag: 'latest', before: undefined, limit: 10 }
  const entries = (await ledger.tagHistory(query)) ?? []
  t.match(entries, [
    { action: 'publish', subject: 'acme/bert@2', details: { previous: revisionOf('1') } },
    { action: 'publish', subject: 'acme/bert@1', details: { previous: null } },
  ])
  t.equal(entries.length, 2)
})
