import Database from 'better-sqlite3'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { AuditEntry } from '../../db/ledger.ts'
import { openLedger } from '../../db/open.ts'
import { createAuditLog, type Download } from '../../src/access/audit-log.ts'
import { openAt } from '../db/fixture.ts'

async function startLog(t: Test) {
  const ledger = await openAt(t, t.testdir())
  const failures: unknown[] = []
  const log = createAuditLog(ledger, (error) => failures.push(error))
  t.teardown(log.close)
  const entries = async (): Promise<readonly AuditEntry[]> => {
    const found: AuditEntry[] = []
    for (let after = 0; ; after = found.at(-1)?.seq ?? 0) {
      const page = await ledger.audit({ after, limit: 1000 })
      found.push(...page)
      if (page.length < 1000) return found
    }
  }
  return { ledger, log, failures, entries }
}

const download = (change: Partial<Download> = {}): Download => ({
  principal: { tokenId: 'id', name: 'ci', role: 'reader', scope: '*' },
  address: '192.0.2.1',
  subject: 'acme/bert@1',
  revision: 'r1',
  path: 'model.safetensors',
  bytes: 10,
  outcome: 'ok',
  ...change,
})

t.test(
  'downloads of one file by one token are one entry, with their number and bytes',
  async (t) => {
    const { log, entries } = await startLog(t)
    for (let i = 0; i < 100; i++) log.download(download({ bytes: i }))
    log.download(download({ path: 'other' }))
    log.download(download({ revision: 'r2' }))
    const principal = { tokenId: 'id2', name: 'ci', role: 'reader' as const, scope: '*' }
    log.download(download({ principal }))
    await log.flush()
    const written = await entries()
    // A minute may end in between: then its count is in two entries.
    t.ok(written.length >= 4 && written.length <= 8)
    const whole = written.filter(
      ({ actorId, revision, details }) =>
        actorId === 'id' && revision === 'r1' && details?.['path'] === 'model.safetensors',
    )
    const sum = (what: string): number =>
      whole.reduce((total, { details }) => total + Number(details?.[what]), 0)
    t.equal(sum('count'), 100)
    t.equal(sum('bytes'), 4950)
    t.match(whole[0], {
      action: 'download',
      subject: 'acme/bert@1',
      outcome: 'ok',
      actorName: 'ci',
    })
  },
)

t.test('what is flushed is written once, in the order in which it was noted', async (t) => {
  const { log, entries } = await startLog(t)
  for (let i = 0; i < 20; i++) log.note({ action: `a${i}`, outcome: 'ok' })
  await Promise.all([log.flush(), log.flush()])
  log.note({ action: 'last', outcome: 'ok' })
  await log.close()
  const actions = (await entries()).map(({ action }) => action)
  t.same(actions, [...Array.from({ length: 20 }, (_, i) => `a${i}`), 'last'])
})

t.test('more than is kept is written early, and nothing of it is lost', async (t) => {
  const { log, entries, ledger } = await startLog(t)
  for (let i = 0; i < 12_000; i++) log.note({ action: 'verify', outcome: 'ok' })
  for (let i = 0; i < 6000; i++) log.download(download({ path: `p${i}` }))
  await log.flush()
  const written = await entries()
  t.equal(written.filter(({ action }) => action === 'verify').length, 12_000)
  t.equal(written.filter(({ action }) => action === 'download').length, 6000)
  t.match(await ledger.verifyAudit(), { valid: true, entries: 18_000 })
})

t.test(
  'a ledger that can’t write is told of, and is not tried again at every request',
  async (t) => {
    const ledger = await openLedger({ folder: t.testdir(), auditKey: undefined })
    const failures: unknown[] = []
    const log = createAuditLog(ledger, (error) => failures.push(error))
    await ledger.close()
    log.note({ action: 'verify', outcome: 'ok' })
    await log.flush()
    t.equal(failures.length, 1)
    for (let i = 0; i < 20_000; i++) log.note({ action: 'verify', outcome: 'ok' })
    await Promise.resolve()
    t.ok(failures.length < 3)
    await log.close()
  },
)

t.test('what failed is written first once the ledger can write again', async (t) => {
  const folder = join(t.testdir({ ledger: {} }), 'ledger')
  const ledger = await openAt(t, folder)
  const failures: unknown[] = []
  const log = createAuditLog(ledger, (error) => failures.push(error))
  // Another hand on the file makes every entry fail for a while.
  const db = new Database(join(folder, 'strongroom.db'))
  db.exec(`CREATE TRIGGER jam BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'jammed'); END`)
  log.note({ action: 'first', outcome: 'ok' })
  await log.flush()
  t.equal(failures.length, 1)
  db.exec('DROP TRIGGER jam')
  db.close()
  log.note({ action: 'second', outcome: 'ok' })
  await log.close()
  const entries = await ledger.audit({ after: 0, limit: 10 })
  t.same(
    entries.map(({ action }) => action),
    ['first', 'second'],
  )
})
