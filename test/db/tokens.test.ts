import t from 'tap'
import { addToken, openAt, sha256, token } from './fixture.ts'

const note = { action: 'token.revoke', actorId: 'admin', outcome: 'ok' }
const query = { after: 0, limit: 10 }

t.test('a token is found by the hash of its secret, and its making is in the log', async (t) => {
  const ledger = await openAt(t, t.testdir())
  const fields = { expiresAt: '2999-01-01T00:00:00Z', createdBy: 'admin', scope: 'acme/*' }
  const made = await addToken(ledger, 'one', fields)
  t.match(made, { ...fields, id: 'one', role: 'writer', createdAt: /Z$/, revokedAt: undefined })
  t.notOk('sha256' in made)
  t.same(await ledger.findToken(sha256('one')), made)
  t.equal(await ledger.findToken(sha256('two')), undefined)
  t.match(await ledger.audit(query), [{ action: 'token.create', subject: 'one' }])
})

t.test('a revoked token stays listed, and revoking it twice changes nothing', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger, 'b')
  await addToken(ledger, 'a')
  const revoked = await ledger.revokeToken('b', note)
  t.match(revoked, { id: 'b', revokedAt: /Z$/ })
  t.same(await ledger.revokeToken('b', note), revoked)
  t.equal(await ledger.revokeToken('nobody', note), undefined)
  t.match(await ledger.listTokens(), [
    { id: 'b', revokedAt: revoked?.revokedAt },
    { id: 'a', revokedAt: undefined },
  ])
  t.match(await ledger.audit({ ...query, action: 'token.revoke' }), [
    { seq: 3, subject: 'b', actorId: 'admin' },
  ])
  t.equal((await ledger.auditHead()).seq, 3)
})

t.test('a token that is refused leaves neither a row nor an entry', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger, 'one')
  const scopes = ['', 'Acme/*', '*/*', 'acme', 'acme/', 'acme/a*b', 'acme/[ab]', 'acme/?', 'a/b/c']
  const made = { action: 'token.create', outcome: 'ok' }
  for (const scope of scopes)
    await t.rejects(ledger.createToken(token('two', { scope }), made), { code: /CHECK/ }, scope)
  await t.rejects(ledger.createToken(token('two', { sha256: sha256('one') }), made))
  t.equal((await ledger.listTokens()).length, 1)
  t.equal((await ledger.auditHead()).seq, 1)
})
