import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { openLedger } from '../../db/open.ts'
import { addToken, openAt } from './fixture.ts'

const PUBLISHER = join(import.meta.dirname, 'publisher.ts')

/** Runs the publisher until it has said so many lines, then kills it; returns all that it said. */
async function killAfter(lines: number, folder: string, prefix: string): Promise<string[]> {
  const child = spawn(process.execPath, [PUBLISHER, folder, prefix], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const said: string[] = []
  for await (const line of createInterface(child.stdout)) {
    said.push(line)
    if (said.length === lines) child.kill('SIGKILL')
  }
  if (child.signalCode === null && child.exitCode === null) await once(child, 'exit')
  return said
}

t.test('a ledger whose server was killed while it published opens and verifies', async (t) => {
  const folder = t.testdir()
  const first = await openLedger({ folder, auditKey: undefined })
  await addToken(first)
  await first.close()

  const acknowledged: string[] = []
  for (const [round, lines] of [2, 31, 64].entries()) {
    const [open, ...versions] = await killAfter(lines, folder, `r${round}`)
    t.equal(open, 'open')
    acknowledged.push(...versions)
  }

  const ledger = await openAt(t, folder)
  t.match(await ledger.verifyAudit(), { valid: true })
  const overview = await ledger.checkpoint('acme', 'bert')
  const versions = overview?.versions.map(({ version }) => version) ?? []
  t.ok(
    acknowledged.every((version) => versions.includes(version)),
    'whatever was acknowledged is there',
  )
  const entries = await ledger.audit({ after: 0, limit: 1000, action: 'publish' })
  t.same(
    entries.map(({ subject }) => subject),
    versions.map((version) => `acme/bert@${version}`),
    'every version has its entry, and every entry its version',
  )
  t.equal(overview?.tags['latest'], versions.at(-1))
  for (const version of versions) {
    const id = (await ledger.resolve('acme', 'bert', version))?.version.id ?? 0
    const tensors = await ledger.tensorsOf({ versionId: id, limit: 100 })
    if (tensors.length !== 50) t.fail(`${version} is half there`)
  }
})

t.test('a killed server leaves the ledger to the next one', async (t) => {
  const folder = t.testdir()
  const child = spawn(process.execPath, [PUBLISHER, folder, 'hold'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  await t.rejects(openLedger({ folder, auditKey: undefined }), {
    name: 'LedgerRefused',
    message: /another server/,
  })
  child.kill('SIGKILL')
  await once(child, 'exit')
  const ledger = await openAt(t, folder)
  await ledger.ping()
})
