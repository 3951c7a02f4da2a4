import { spawn, spawnSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { networkGuard } from '../../src/pickle/job/isolation.ts'
import type { Job } from '../../src/pickle/job/messages.ts'
import { guarded, type JobLimits, type Outcome, runJob } from '../../src/pickle/job/run-job.ts'
import {
  call,
  checkpoint,
  dict,
  GOOD,
  join as bytesOf,
  text,
} from '../../bench/fuzz-pickle/assembler.ts'

const LIMITS = { memoryBytes: 1024 ** 3, deadlineMs: 60_000 }
const SCAN = { kind: 'scan' } as const

async function run(
  t: Test,
  bytes: Uint8Array,
  job: { readonly kind: Job['kind'] },
  limits: Partial<JobLimits> = {},
  signal?: AbortSignal,
): Promise<Outcome> {
  const folder = t.testdir({ source: bytes, target: '' })
  const source = openSync(join(folder, 'source'), 'r')
  const target = openSync(join(folder, 'target'), 'r+')
  const choice = { root: undefined, writesTiedTwice: false, isOpaqueAllowed: false }
  try {
    const whole = { ...choice, ...job, sizeBytes: bytes.length }
    return await runJob(whole, { source, target }, { ...LIMITS, ...limits }, signal)
  } finally {
    closeSync(source)
    closeSync(target)
  }
}

t.test('a job is answered by a process of its own', async (t) => {
  t.match(await run(t, GOOD, { kind: 'convert' }), { kind: 'converted', converted: { tensors: 1 } })
  t.match(await run(t, GOOD, { kind: 'judge' }), { kind: 'converted' })
  t.match(await run(t, GOOD, SCAN), { kind: 'scanned', report: { verdict: 'clean' } })
  const hostile = checkpoint(dict({ a: call('os', 'system', text('id')) }))
  t.match(await run(t, hostile, { kind: 'convert' }), {
    kind: 'refused',
    refusal: { reason: 'pickle', message: /calls os\.system/, isForUnknownClass: false },
  })
  const namespace = checkpoint(dict({ a: call('argparse', 'Namespace') }))
  t.match(await run(t, namespace, { kind: 'convert' }), {
    kind: 'refused',
    refusal: { message: /^argparse\.Namespace at data\.pkl\+\d+ under "a"$/, isForUnknownClass: true }, // prettier-ignore
  })
})

t.test('above its memory, past its deadline, or when nobody waits, it is stopped', async (t) => {
  const memoryBytes = 150 * 1024 ** 2
  t.match(await run(t, GOOD, SCAN, { memoryBytes }), { kind: 'scanned' })
  // A dict a byte.
  const large = checkpoint(bytesOf('(', '}'.repeat(900_000), 't'))
  const stopped = { kind: 'stopped', why: 'memory' }
  t.strictSame(await run(t, large, { kind: 'convert' }, { memoryBytes }), stopped)
  t.strictSame(await run(t, GOOD, SCAN, { deadlineMs: 1 }), { kind: 'stopped', why: 'deadline' })
  const gone = { kind: 'stopped', why: 'aborted' }
  t.strictSame(await run(t, GOOD, SCAN, {}, AbortSignal.abort()), gone)
  const abort = new AbortController()
  const running = run(t, GOOD, SCAN, {}, abort.signal)
  setImmediate(() => {
    abort.abort()
  })
  t.strictSame(await running, gone)
})

t.test('a process that somebody else kills is told as killed', async (t) => {
  const large = checkpoint(bytesOf('(', '}'.repeat(900_000), 't'))
  const running = run(t, large, SCAN)
  const children = (): string[] =>
    readdirSync(`/proc/${process.pid}/task`)
      .flatMap((id) => readFileSync(`/proc/${process.pid}/task/${id}/children`, 'utf8').split(' '))
      .filter((pid) => pid !== '')
  if (process.platform === 'linux') {
    while (children().length === 0) await new Promise(setImmediate)
    for (const pid of children()) process.kill(Number(pid), 'SIGKILL')
    t.strictSame(await running, { kind: 'stopped', why: 'killed' })
  } else await running
})

/** What code prints in a process with a job's rights. */
async function under(code: string): Promise<string> {
  const [command, ...args] = await guarded('--input-type=module', '-e', code)
  const { stdout, stderr } = spawnSync(command, args, { env: {}, encoding: 'utf8' })
  return stdout + stderr
}

t.test('the process may open, start and reach nothing', async (t) => {
  const attempts = {
    'a file': `import fs from 'node:fs'; fs.readFileSync('/etc/hostname')`,
    'a new file': `import fs from 'node:fs'; fs.writeFileSync('${t.testdirName}', '')`,
    'the program itself': `import fs from 'node:fs'; fs.writeFileSync('src/main.ts', '')`,
    'another program': `import { execSync } from 'node:child_process'; execSync('id')`,
    'a thread': `import { Worker } from 'node:worker_threads'; new Worker('', { eval: true })`,
  }
  for (const [what, code] of Object.entries(attempts))
    t.match(await under(code), /ERR_ACCESS_DENIED/, what)
})

t.test('where the system grants it, there is no network', async (t) => {
  const server = createServer((_request, response) => response.end('reached'))
  await new Promise((listening) =>
    server.listen(0, '127.0.0.1', () => {
      listening(undefined)
    }),
  )
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const [command, ...args] = await guarded(
    '--input-type=module',
    '-e',
    `try { console.log(await (await fetch('http://127.0.0.1:${port}')).text()) } catch { console.log('cut off') }`,
  )
  const child = spawn(command, args, { env: {}, stdio: ['ignore', 'pipe', 'ignore'] })
  let said = ''
  for await (const piece of child.stdout.setEncoding('utf8')) said += String(piece)
  const isGranted = (await networkGuard()).length > 0
  if (!isGranted) t.comment('this system grants no network namespace: jobs here can reach others')
  t.equal(said.trim(), isGranted ? 'cut off' : 'reached')
})
