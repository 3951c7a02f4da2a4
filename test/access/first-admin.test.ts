import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ensureFirstAdmin } from '../../src/access/first-admin.ts'
import { tokenDigest } from '../../src/access/tokens.ts'
import { addToken, openAt } from '../db/fixture.ts'

const CONFIGURED = 'a-token-that-the-operator-chose-0123456789'

async function start(t: Test, isTerminal: boolean) {
  const folder = t.testdir()
  const ledger = await openAt(t, folder)
  const said: string[] = []
  const warned: string[] = []
  const announce = {
    isTerminal,
    say: (line: string) => said.push(line),
    warn: (line: string) => warned.push(line),
  }
  const ensure = (configured?: string) => ensureFirstAdmin(ledger, folder, configured, announce)
  return { folder, ledger, said, warned, ensure, file: join(folder, 'admin-token') }
}

t.test('a person at a terminal is shown the token this once, and it is in no file', async (t) => {
  const { ledger, said, ensure, file } = await start(t, true)
  await ensure()
  const secret = /sr_\S+/.exec(said.join())?.[0] ?? ''
  t.match(await ledger.findToken(tokenDigest(secret)), { role: 'admin', scope: '*' })
  t.notOk(existsSync(file))
  await ensure()
  t.equal(said.length, 1)
  t.equal((await ledger.listTokens()).length, 1)
})

t.test(
  'without a terminal the token is in a file for its owner alone, and only its path is told',
  async (t) => {
    const { ledger, said, ensure, file } = await start(t, false)
    writeFileSync(
      file,
      'what an earlier start left, open to everyone and longer than a token is'.repeat(9),
    )
    chmodSync(file, 0o666)
    await ensure()
    t.equal(statSync(file).mode & 0o777, 0o600)
    const secret = readFileSync(file, 'utf8').trim()
    t.match(await ledger.findToken(tokenDigest(secret)), { role: 'admin' })
    t.match(said.join(), file)
    t.notMatch(said.join(), secret)
  },
)

t.test('the configured token is taken, told nobody and written nowhere', async (t) => {
  const { ledger, said, warned, ensure, file } = await start(t, false)
  await ensure(CONFIGURED)
  await ensure(CONFIGURED)
  t.match(await ledger.findToken(tokenDigest(CONFIGURED)), { role: 'admin' })
  t.same([said, warned, existsSync(file)], [[], [], false])
  const [entry] = await ledger.audit({ after: 0, limit: 10, action: 'token.create' })
  t.match(entry, { outcome: 'ok', details: { role: 'admin' } })
  t.notMatch(JSON.stringify(entry), CONFIGURED)
})

t.test(
  'once the ledger has other tokens a configured one is ignored, with a warning',
  async (t) => {
    const { ledger, warned, ensure } = await start(t, false)
    await ensure(CONFIGURED)
    await addToken(ledger)
    await ensure(CONFIGURED)
    t.equal(warned.length, 1)
    await ensure('another-token-that-nobody-knows-0123456789')
    t.equal(warned.length, 2)
    t.equal((await ledger.listTokens()).length, 2)
    t.notMatch(warned.join(), /another-token/)
  },
)

t.test('a token whose file can’t be written is not made: it would lock everyone out', async (t) => {
  const { folder, ledger, said } = await start(t, false)
  const nowhere = join(folder, 'missing')
  const announce = { isTerminal: false, say: (line: string) => said.push(line), warn: () => 0 }
  await t.rejects(ensureFirstAdmin(ledger, nowhere, undefined, announce), { code: 'ENOENT' })
  t.same(await ledger.listTokens(), [])
  t.same(said, [])
})
