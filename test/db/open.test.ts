import Database from 'better-sqlite3'
import {
  chmodSync,
  readdirSync,
  statSync,
  writeFileSync,
  openSync,
  writeSync,
  closeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import t from 'tap'
import { openLedger } from '../../db/open.ts'
import { addToken, file, openAt, publication, tamper } from './fixture.ts'

const opening = (folder: string) => openLedger({ folder, auditKey: undefined })
const refused = (message: RegExp) => ({ name: 'LedgerRefused', message })

t.test('an empty folder becomes a ledger that only its owner reads', async (t) => {
  const folder = t.testdir()
  const ledger = await openAt(t, folder)
  await addToken(ledger)
  for (const name of readdirSync(folder))
    t.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name)
})

t.test('a closed ledger is one file and its lock, and opens again as it was', async (t) => {
  const folder = t.testdir()
  const ledger = await opening(folder)
  const token = await addToken(ledger)
  const published = ledger.publish(publication('1'))
  const closed = ledger.close()
  t.match(await published, { outcome: 'created' }, 'what was asked before is done')
  await closed
  await ledger.close()
  await t.rejects(ledger.ping(), /closed/)
  await t.rejects(ledger.listTokens())
  t.same(readdirSync(folder).sort(), ['lock.db', 'strongroom.db'])
  const again = await openAt(t, folder)
  t.same(await again.listTokens(), [token])
  t.match(await again.resolve('acme', 'bert', '1'), { version: { version: '1' } })
})

t.test('a ledger that is open is not opened twice', async (t) => {
  const folder = t.testdir()
  const ledger = await opening(folder)
  await t.rejects(opening(folder), refused(/another server/))
  await ledger.ping()
  await t.rejects(opening(folder), refused(/another server/), 'the refusal did not loosen the lock')
  await ledger.close()
  await openAt(t, folder)
})

t.test('a ledger of a newer release is refused and left as it was', async (t) => {
  const folder = t.testdir()
  await (await opening(folder)).close()
  tamper(folder, 'PRAGMA user_version = 99')
  await t.rejects(opening(folder), refused(/newer Strongroom \(schema 99/))
  await t.rejects(opening(folder), refused(/newer Strongroom/), 'and the lock is free again')
})

t.test("another program's database is refused", async (t) => {
  const folder = t.testdir()
  tamper(folder, 'CREATE TABLE theirs (a)')
  await t.rejects(opening(folder), refused(/another program's/))
  const marked = t.testdir({ marked: {} })
  tamper(join(marked, 'marked'), 'PRAGMA application_id = 7; CREATE TABLE theirs (a)')
  await t.rejects(opening(join(marked, 'marked')), refused(/another program's/))
})

t.test('a file that is no database is refused', async (t) => {
  const folder = t.testdir({ 'strongroom.db': 'not a database at all '.repeat(100) })
  await t.rejects(opening(folder), refused(/damaged or is no ledger: restore/))
})

t.test('a damaged page is found before the ledger serves', async (t) => {
  const folder = t.testdir()
  const ledger = await opening(folder)
  await addToken(ledger)
  const tensors = Array.from({ length: 2000 }, (_, i) => ({ name: `layer.${i}.weight` }))
  await ledger.publish(publication('1', { files: [file('one', { tensors })] }))
  await ledger.close()
  const db = join(folder, 'strongroom.db')
  const descriptor = openSync(db, 'r+')
  writeSync(descriptor, Buffer.alloc(4096, 0xa5), 0, 4096, 4096 * 40)
  closeSync(descriptor)
  await t.rejects(opening(folder), refused(/damaged/))
})

t.test('a folder that is missing, or a file in its place, is refused', async (t) => {
  const folder = t.testdir({ file: '' })
  await t.rejects(opening(join(folder, 'missing')), refused(/check that the folder exists/))
  await t.rejects(opening(join(folder, 'file')), refused(/check that the folder exists/))
})

t.test('a ledger that may not be written is refused', async (t) => {
  if (process.getuid?.() === 0) {
    t.comment('NOT TRIED: root may write anything')
    return
  }
  const folder = t.testdir()
  await (await opening(folder)).close()
  chmodSync(folder, 0o500)
  t.teardown(() => {
    chmodSync(folder, 0o700)
  })
  await t.rejects(opening(folder), refused(/writ/))
})

t.test('a transaction waits for another program that writes, and look-ups go on', async (t) => {
  const folder = t.testdir()
  const ledger = await openAt(t, folder)
  await addToken(ledger)
  const other = new Database(join(folder, 'strongroom.db'))
  t.teardown(() => {
    other.close()
  })
  other.exec('BEGIN IMMEDIATE')
  const waiting = ledger.appendAudit([{ action: 'a', outcome: 'ok' }])
  t.equal((await ledger.listTokens()).length, 1)
  other.exec('COMMIT')
  t.match(await waiting, { seq: 2 })
})

t.test('when the writer dies, what waits and what comes later rejects', async (t) => {
  const folder = t.testdir()
  const workers: Worker[] = []
  const remember = (worker: Worker) => workers.push(worker)
  process.on('worker', remember)
  const ledger = await opening(folder)
  process.off('worker', remember)
  // Told to end before it is asked: a call that it could still answer wouldn't wait.
  const ended = workers[0]?.terminate()
  const waiting = ledger.ping()
  await ended
  await t.rejects(waiting, /writer has stopped/)
  await t.rejects(ledger.appendAudit([]), /writer has stopped/)
  t.same(await ledger.listTokens(), [], 'look-ups go on')
  await t.rejects(ledger.close(), /writer has stopped/)
  await openAt(t, folder)
})

t.test('files beside the ledger do no harm', async (t) => {
  const folder = t.testdir()
  writeFileSync(join(folder, 'audit.key'), 'x')
  await openAt(t, folder)
})
