import t from 'tap'
import { openLedger } from '../../db/open.ts'
import { openAt, tamper } from './fixture.ts'

const KEY = Buffer.from('the key of the audit log, 32 byte')
const notes = Array.from({ length: 9 }, (_, i) => ({
  action: i % 2 === 0 ? 'download' : 'verify',
  actorId: 't',
  subject: `acme/bert@${i % 3}`,
  outcome: 'ok',
  details: { count: i },
}))

t.test('entries come in order, a page at a time, by action and subject', async (t) => {
  const ledger = await openAt(t, t.testdir())
  const head = await ledger.appendAudit(notes)
  t.same(await ledger.auditHead(), head)
  t.match(head, { seq: 9, mac: undefined })
  const seqs = async (query: {
    after?: number
    limit?: number
    action?: string
    subject?: string
  }) => (await ledger.audit({ after: 0, limit: 100, ...query })).map(({ seq }) => seq)
  t.same(await seqs({}), [1, 2, 3, 4, 5, 6, 7, 8, 9])
  t.same(await seqs({ after: 2, limit: 3 }), [3, 4, 5])
  t.same(await seqs({ action: 'verify' }), [2, 4, 6, 8])
  t.same(await seqs({ subject: 'acme/bert@0' }), [1, 4, 7])
  t.same(await seqs({ subject: 'acme/bert@0', action: 'verify', after: 1 }), [4])
  t.match((await ledger.audit({ after: 4, limit: 1 }))[0], { ...notes[4], seq: 5 })
})

t.test('an empty log and a log of odd texts both verify', async (t) => {
  const ledger = await openAt(t, t.testdir())
  t.match(await ledger.verifyAudit(), { valid: true, entries: 0 })
  const odd = '\0"\\\u2028\ud800 \u{1f600}'
  await ledger.appendAudit([
    { action: odd, subject: odd, outcome: odd, details: { [odd]: [odd, null, 1.5] } },
  ])
  await ledger.appendAudit([])
  t.match(await ledger.verifyAudit(), { valid: true, entries: 1, broken: undefined })
})

t.test('entries that arrive while the log is verified do not disturb it', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await ledger.appendAudit(Array.from({ length: 2500 }, () => ({ action: 'a', outcome: 'ok' })))
  const verdict = ledger.verifyAudit()
  await ledger.appendAudit(notes)
  t.match(await verdict, { valid: true, entries: 2500, head: { seq: 2500 } })
})

const attacks = [
  ['an edited entry', "UPDATE audit SET subject = 'acme/other' WHERE seq = 4", 4],
  ['an edited time', "UPDATE audit SET at = '2020-01-01T00:00:00.000Z' WHERE seq = 9", 9],
  ['edited details', `UPDATE audit SET details = '{"count": 3}' WHERE seq = 4`, 4],
  ['a dropped entry', 'DELETE FROM audit WHERE seq = 4', 4],
  ['a dropped first entry', 'DELETE FROM audit WHERE seq = 1', 1],
  [
    'two entries that changed places',
    'UPDATE audit SET seq = -4 WHERE seq = 4; UPDATE audit SET seq = 4 WHERE seq = 5; UPDATE audit SET seq = 5 WHERE seq = -4',
    4,
  ],
  [
    'a dropped entry with the rest moved up',
    'DELETE FROM audit WHERE seq = 4; UPDATE audit SET seq = seq - 1 WHERE seq > 4',
    4,
  ],
  ['a cut tail', 'DELETE FROM audit WHERE seq > 6', 7],
  [
    'an entry beyond the head',
    'INSERT INTO audit SELECT 10, at, action, actor_id, actor_name, address, subject, revision, outcome, details, hash, hash FROM audit WHERE seq = 9',
    10,
  ],
  [
    'an entry before the first',
    'INSERT INTO audit SELECT -1, at, action, actor_id, actor_name, address, subject, revision, outcome, details, hash, hash FROM audit WHERE seq = 9',
    1,
  ],
  ['a head with another hash', "UPDATE audit_head SET hash = printf('%064d', 1)", 9],
  ['a log without a head', 'DELETE FROM audit_head', 0],
] as const

for (const [what, sql, seq] of attacks)
  for (const key of [undefined, KEY])
    t.test(`${what} is found ${key ? 'with' : 'without'} a key`, async (t) => {
      const folder = t.testdir()
      const ledger = await openAt(t, folder, key)
      await ledger.appendAudit(notes)
      tamper(folder, sql)
      t.match(await ledger.verifyAudit(), { valid: false, broken: { seq, why: String } })
    })

const cutWithItsHead =
  'DELETE FROM audit WHERE seq > 6; UPDATE audit_head SET (seq, hash) = (SELECT seq, hash FROM audit WHERE seq = 6)'

t.test('a cut tail whose head was rewritten is found with a key', async (t) => {
  const folder = t.testdir()
  const ledger = await openAt(t, folder, KEY)
  await ledger.appendAudit(notes)
  tamper(folder, cutWithItsHead)
  t.match(await ledger.verifyAudit(), { valid: false, entries: 6, broken: { seq: 6 } })
  tamper(folder, 'UPDATE audit_head SET mac = NULL')
  t.match(await ledger.verifyAudit(), { valid: false, broken: { seq: 6 } })
})

t.test('a ledger whose head does not verify under the key is not opened', async (t) => {
  const folder = t.testdir()
  const ledger = await openLedger({ folder, auditKey: KEY })
  await ledger.appendAudit(notes)
  await ledger.close()
  const opening = (auditKey: Uint8Array | undefined) => openLedger({ folder, auditKey })
  await t.rejects(opening(Buffer.from('another key')), { name: 'LedgerRefused' })
  await t.rejects(opening(undefined), { name: 'LedgerRefused' }, 'nor silently without')
  tamper(folder, cutWithItsHead)
  await t.rejects(opening(KEY), { name: 'LedgerRefused' })
})

t.test('a key that comes later authenticates the log as it stands', async (t) => {
  const folder = t.testdir()
  const before = await openLedger({ folder, auditKey: undefined })
  const { hash } = await before.appendAudit(notes)
  await before.close()
  const ledger = await openAt(t, folder, KEY)
  t.match(await ledger.auditHead(), { seq: 9, hash, mac: /^[0-9a-f]{64}$/ })
  t.match(await ledger.appendAudit(notes), { seq: 18, mac: /^[0-9a-f]{64}$/ })
  t.match(await ledger.verifyAudit(), { valid: true, entries: 18 })
})
