import Database from 'better-sqlite3'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { backupLedger } from '../../db/backup.ts'
import type { LedgerCopy } from '../../db/copy.ts'
import { openLedger } from '../../db/open.ts'
import { openSnapshot, type Snapshot } from '../../db/open-snapshot.ts'
import { restoreLedger } from '../../db/restore.ts'
import { addToken, openAt, publication, tamper } from './fixture.ts'

const KEY = Buffer.alloc(32, 7)
const refused = (message: RegExp) => ({ name: 'LedgerRefused', message })
const going = () => ({ auditKey: undefined, signal: new AbortController().signal })

const backup = (folder: string, to: string): Promise<LedgerCopy> =>
  backupLedger(folder, to, going())

function openSnapshotAt(t: Test, path: string): Snapshot {
  const snapshot = openSnapshot(path, undefined)
  t.teardown(snapshot.close)
  return snapshot
}

/** A ledger of two versions, closed, and a snapshot of it. */
async function startWithSnapshot(t: Test, auditKey?: Uint8Array) {
  const root = t.testdir({ ledger: {}, copies: {} })
  const folder = join(root, 'ledger')
  const ledger = await openLedger({ folder, auditKey })
  await addToken(ledger)
  for (const version of ['1', '2']) await ledger.publish(publication(version))
  await ledger.close()
  const copy = join(root, 'copies/strongroom.db')
  return { root, folder, copy, taken: await backup(folder, copy) }
}

const versionsOf = async (ledger: Pick<Snapshot, 'checkpoint'>): Promise<readonly string[]> => {
  const overview = await ledger.checkpoint('acme', 'bert')
  return overview?.versions.map(({ version }) => version) ?? []
}

t.test(
  'every copy taken while versions are published is a sound ledger of one moment',
  async (t) => {
    const root = t.testdir({ ledger: {}, copies: {} })
    const folder = join(root, 'ledger')
    const first = await openLedger({ folder, auditKey: undefined })
    await addToken(first)
    await first.close()
    const publisher = spawn(
      process.execPath,
      [join(import.meta.dirname, 'publisher.ts'), folder, 'v'],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    t.teardown(() => publisher.kill('SIGKILL'))
    const lines = createInterface(publisher.stdout)[Symbol.asyncIterator]()
    const copies: { versions: readonly string[]; taken: LedgerCopy }[] = []
    for (let i = 0; i < 5; i++) {
      // What it says piles up meanwhile: it never waits for a copy.
      for (let said = 0; said < 12; said++) await lines.next()
      const path = join(root, 'copies', 'strongroom.db')
      const taken = await backup(folder, path)
      const snapshot = openSnapshot(path, undefined)
      t.match(await snapshot.verifyAudit(), { valid: true, head: taken.head })
      const versions = await versionsOf(snapshot)
      t.equal(versions.length, taken.versions)
      const entries = await snapshot.audit({ after: 0, limit: 1000, action: 'publish' })
      t.same(
        entries.map(({ subject }) => subject),
        versions.map((version) => `acme/bert@${version}`),
      )
      snapshot.close()
      copies.push({ versions, taken })
    }
    publisher.kill('SIGKILL')
    await once(publisher, 'exit')
    const all = await versionsOf(await openAt(t, folder))
    for (const [i, { versions }] of copies.entries()) {
      t.same(versions, all.slice(0, versions.length), 'a prefix of what was published')
      t.ok(versions.length > (copies[i - 1]?.versions.length ?? 0), 'a longer one each time')
    }
    t.same(readdirSync(join(root, 'copies')), ['strongroom.db'], 'with nothing beside it')
  },
)

t.test(
  'a snapshot is one file that only its owner reads, and needs nothing beside it',
  async (t) => {
    const { copy, taken } = await startWithSnapshot(t)
    const { mode, size, mtimeMs } = statSync(copy)
    t.equal(mode & 0o777, 0o600)
    t.match(taken, { sizeBytes: size, versions: 2, head: { seq: 3 } })
    const snapshot = openSnapshotAt(t, copy)
    t.same(await versionsOf(snapshot), ['1', '2'])
    t.equal((await snapshot.listTokens()).length, 1)
    await snapshot.ping()
    t.same(readdirSync(join(copy, '..')), ['strongroom.db'])
    t.equal(statSync(copy).mtimeMs, mtimeMs)
  },
)

t.test('an older snapshot is replaced, and nothing else is', async (t) => {
  const { root, folder, copy } = await startWithSnapshot(t)
  const ledger = await openAt(t, folder)
  await ledger.publish(publication('3'))
  const older = openSnapshotAt(t, copy)
  t.match(await backup(folder, copy), { versions: 3 })
  t.same(await versionsOf(older), ['1', '2'], 'who has the older one open goes on with it')
  t.same(await versionsOf(openSnapshotAt(t, copy)), ['1', '2', '3'])

  const model = join(root, 'model.safetensors')
  writeFileSync(model, 'weights')
  await t.rejects(backup(folder, model), refused(/is no snapshot/))
  t.equal(readFileSync(model, 'utf8'), 'weights')
  mkdirSync(join(root, 'other'))
  await (await openLedger({ folder: join(root, 'other'), auditKey: undefined })).close()
  await t.rejects(backup(folder, join(root, 'other/strongroom.db')), refused(/is no snapshot/))
  await t.rejects(backup(folder, join(root, 'copies')), refused(/is no snapshot/))
  await t.rejects(backup(join(root, 'copies/none'), copy), refused(/there is no ledger/))
})

t.test(
  'a copy that fails or is given up leaves the older one, and nothing beside it',
  async (t) => {
    const { folder, copy } = await startWithSnapshot(t)
    const before = readFileSync(copy)
    const unchanged = (what: string): void => {
      t.ok(readFileSync(copy).equals(before), what)
      t.same(readdirSync(join(copy, '..')), ['strongroom.db'], what)
    }
    const stop = AbortSignal.abort(new Error('enough'))
    await t.rejects(backupLedger(folder, copy, { auditKey: undefined, signal: stop }), /enough/)
    unchanged('given up')
    const keyed = backupLedger(folder, copy, { ...going(), auditKey: KEY })
    await t.rejects(keyed, refused(/audit log .* does not verify from entry 3 on/))
    unchanged('a key that the head was not written with')
    tamper(folder, "UPDATE audit SET outcome = 'forged' WHERE seq = 2")
    await t.rejects(backup(folder, copy), refused(/audit log .* does not verify from entry 2 on/))
    unchanged('an audit log that was changed')
    writeFileSync(join(folder, 'strongroom.db'), 'no database at all '.repeat(500))
    await t.rejects(backup(folder, copy), refused(/damaged or is no ledger/))
    unchanged('a ledger that is none')
  },
)

t.test('a snapshot is never opened for writing, and keeps every byte', async (t) => {
  const { copy } = await startWithSnapshot(t)
  const before = readFileSync(copy)
  const opening = openLedger({ folder: join(copy, '..'), auditKey: undefined })
  await t.rejects(opening, refused(/is a snapshot: serve it .* or .*restore/))
  t.ok(readFileSync(copy).equals(before))
})

const UNFIT: readonly (readonly [string, string, RegExp])[] = [
  ['a ledger in use', 'PRAGMA journal_mode = WAL', /for a server that writes: make a snapshot/],
  ['a ledger', 'PRAGMA application_id = 0x5374726d', /for a server that writes: make a snapshot/],
  ['a restored one', 'PRAGMA application_id = 0x53747272', /for a server that writes/],
  ['an older schema', 'PRAGMA user_version = 1', /older Strongroom \(schema 1.*new snapshot/],
  ['a newer schema', 'PRAGMA user_version = 99', /newer Strongroom \(schema 99/],
]
for (const [what, sql, message] of UNFIT) {
  t.test(`${what} is not served as a snapshot`, async (t) => {
    const { copy } = await startWithSnapshot(t)
    tamper(join(copy, '..'), sql)
    t.throws(() => openSnapshot(copy, undefined), refused(message))
    t.same(readdirSync(join(copy, '..')), ['strongroom.db'])
  })
}

t.test('what is no database, isn’t there, or has another’s log is not served', async (t) => {
  const { root, copy } = await startWithSnapshot(t)
  const text = join(root, 'text')
  writeFileSync(text, 'no database')
  t.throws(() => openSnapshot(text, undefined), refused(/is no ledger's snapshot/))
  t.throws(() => openSnapshot(join(root, 'missing'), undefined), refused(/can't be read/))
  t.throws(() => openSnapshot(root, undefined), refused(/can't be read/))
  writeFileSync(`${copy}-wal`, '')
  t.throws(() => openSnapshot(copy, undefined), refused(/-wal belongs to another database/))
})

t.test('a snapshot with a damaged page is found so before it is served', async (t) => {
  const { copy } = await startWithSnapshot(t)
  const bytes = readFileSync(copy)
  bytes.fill(0xa5, 4096 * 3, 4096 * 6)
  writeFileSync(copy, bytes)
  t.throws(() => openSnapshot(copy, undefined), refused(/damaged/))
})

t.test('with a key, a snapshot’s head must have been written with it', async (t) => {
  const { copy } = await startWithSnapshot(t, KEY)
  openSnapshot(copy, KEY).close()
  openSnapshot(copy, undefined).close()
  t.throws(() => openSnapshot(copy, Buffer.alloc(32, 8)), refused(/was changed, or/))
  const { copy: unkeyed } = await startWithSnapshot(t)
  t.throws(() => openSnapshot(unkeyed, KEY), refused(/not authenticated/))
})

t.test(
  'a restored ledger is written again, and says what it is until that is settled',
  async (t) => {
    const { root, folder, copy } = await startWithSnapshot(t)
    const restored = join(root, 'restored')
    mkdirSync(restored)
    t.match(await restoreLedger(copy, restored, going()), { versions: 2, head: { seq: 3 } })
    t.equal(statSync(join(restored, 'strongroom.db')).mode & 0o777, 0o600)
    const first = await openLedger({ folder: restored, auditKey: undefined })
    t.equal(await first.isRestored(), true)
    await first.close()
    const ledger = await openAt(t, restored)
    t.equal(await ledger.isRestored(), true, 'a start that did not get so far settles nothing')
    await ledger.settleRestored({ action: 'sweep', outcome: 'ok' })
    t.equal(await ledger.isRestored(), false)
    t.match(await ledger.auditHead(), { seq: 4 })
    t.same(await versionsOf(ledger), ['1', '2'])
    t.equal(await (await openAt(t, folder)).isRestored(), false, 'no other ledger is')
  },
)

t.test('an upgrade of a restored ledger does not make it forget that it is one', async (t) => {
  const folder = t.testdir()
  const first = join(import.meta.dirname, '../../migrations/0001-registry.sql')
  const db = new Database(join(folder, 'strongroom.db'))
  db.exec(readFileSync(first, 'utf8'))
  db.exec('PRAGMA user_version = 1; PRAGMA application_id = 0x53747272')
  db.close()
  const ledger = await openAt(t, folder)
  t.equal(await ledger.isRestored(), true)
})

t.test(
  'nothing is restored over a ledger, into a server’s hands, or from what is no snapshot',
  async (t) => {
    const { root, folder, copy } = await startWithSnapshot(t)
    const before = readFileSync(join(folder, 'strongroom.db'))
    await t.rejects(restoreLedger(copy, folder, going()), refused(/is there already/))
    t.ok(readFileSync(join(folder, 'strongroom.db')).equals(before))
    const empty = join(root, 'empty')
    mkdirSync(empty)
    writeFileSync(join(empty, 'strongroom.db-wal'), 'of a ledger that was removed')
    await t.rejects(restoreLedger(copy, empty, going()), refused(/-wal is there already/))
    const free = join(root, 'free')
    mkdirSync(free)
    const ledgerFile = join(folder, 'strongroom.db')
    await t.rejects(restoreLedger(ledgerFile, free, going()), refused(/for a server that writes/))
    t.same(readdirSync(free), ['lock.db'])
    await openAt(t, free)
    await t.rejects(restoreLedger(copy, free, going()), refused(/another server has this ledger/))
  },
)
