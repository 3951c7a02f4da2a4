import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { openLedger } from '../db/open.ts'
import { writeSafetensors } from '../src/safetensors/write.ts'
import { bytesOf } from './hashing/fixture.ts'

const TOKEN = 'sr_the-admin-token-of-the-tests-0123456789'
const BIN = join(import.meta.dirname, '../bin/strongroom.js')

interface Run {
  readonly child: ChildProcess
  /** The exit code, once it has ended. */
  readonly ended: Promise<number | null>
  readonly stderr: () => string
  /** The first line of the log with that message. */
  readonly logged: (message: string) => Promise<Record<string, unknown>>
}

/** The server as its operator starts it, in a process of its own. */
function run(t: Test, folder: string, settings: Readonly<Record<string, string>> = {}): Run {
  const child = spawn(process.execPath, [BIN, 'serve'], {
    env: {
      PATH: process.env['PATH'],
      STRONGROOM_VAULT: join(folder, 'vault'),
      STRONGROOM_LEDGER: join(folder, 'ledger'),
      STRONGROOM_PORT: '0',
      STRONGROOM_HASH_WORKERS: '1',
      STRONGROOM_DISK_FLOOR_BYTES: '0',
      STRONGROOM_DETECTOR: '',
      STRONGROOM_ADMIN_TOKEN: TOKEN,
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = once(child, 'close').then(([code]) => code as number | null)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return {
    child,
    ended,
    stderr: () => stderr,
    logged: async (message) => {
      for (;;) {
        const lines = stdout.split('\n').slice(0, -1)
        const found = lines
          .map((line) => JSON.parse(line) as Record<string, unknown>)
          .find(({ msg }) => msg === message)
        if (found !== undefined) return found
        if (child.exitCode !== null) throw new Error(`it ended before it said so: ${stderr}`)
        await Promise.race([once(child.stdout, 'data'), ended])
      }
    },
  }
}

const file = Buffer.from(
  writeSafetensors([
    { name: 'w', dtype: 'U8', shape: [24_000_000], bytes: bytesOf('w', 24_000_000) },
  ]),
)
const URL_PATH = '/v1/checkpoints/acme/bert/1'

async function startWithFile(t: Test, settings: Readonly<Record<string, string>> = {}) {
  const folder = t.testdir()
  const server = run(t, folder, settings)
  const { url } = await server.logged('listening')
  const put = await fetch(`${String(url)}${URL_PATH}`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${TOKEN}` },
    body: file,
  })
  t.equal(put.status, 201)
  await put.arrayBuffer()
  return { folder, server, port: Number(new URL(String(url)).port) }
}

/** A download that has begun and whose taker then stops reading. */
async function startDownload(t: Test, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.write(
    `GET ${URL_PATH}/files/model.safetensors HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${TOKEN}\r\n\r\n`,
  )
  await once(socket, 'readable')
  return socket
}

async function readToEnd(socket: Socket): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  socket.on('data', (chunk: Uint8Array) => chunks.push(chunk))
  socket.on('error', () => undefined)
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve))
  const all = Buffer.concat(chunks)
  return all.subarray(all.indexOf('\r\n\r\n') + 4)
}

async function lastEntries(folder: string): Promise<readonly string[]> {
  const ledger = await openLedger({ folder: join(folder, 'ledger'), auditKey: undefined })
  const entries = await ledger.audit({ after: 0, limit: 1000 })
  const verdict = await ledger.verifyAudit()
  await ledger.close()
  return verdict.valid ? entries.map(({ action }) => action) : ['the chain is broken']
}

const walOf = (folder: string): number => {
  const path = join(folder, 'ledger/strongroom.db-wal')
  return existsSync(path) ? statSync(path).size : 0
}

t.test(
  'SIGTERM lets a running download finish, then everything is written and closed',
  async (t) => {
    const { folder, server, port } = await startWithFile(t)
    const download = await startDownload(t, port)
    server.child.kill('SIGTERM')
    await server.logged('stopping')
    const late = connect(port, '127.0.0.1')
    late.on('error', () => undefined)
    late.write('GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n')
    t.equal((await readToEnd(late)).length, 0, 'new callers are turned away')
    t.ok((await readToEnd(download)).equals(file))
    t.equal(await server.ended, 0)
    t.equal(server.stderr(), '')
    t.equal(walOf(folder), 0)
    t.same((await lastEntries(folder)).slice(-3), ['publish', 'download', 'server.stop'])
  },
)

t.test('a download that goes on at the deadline is cut off, and so is an upload', async (t) => {
  const { folder, server, port } = await startWithFile(t, { STRONGROOM_STOP_TIMEOUT_MS: '1' })
  const download = await startDownload(t, port)
  const upload = connect(port, '127.0.0.1')
  upload.on('error', () => undefined)
  upload.write(
    `PUT ${URL_PATH}.1 HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${TOKEN}\r\ncontent-length: ${file.length}\r\n\r\n`,
  )
  upload.write(file.subarray(0, 5_000_000))
  const staging = join(folder, 'vault/staging')
  while (readdirSync(staging).length === 0) await pause(5)
  // Twice, as from a shell's job and once more from npm.
  server.child.kill('SIGTERM')
  server.child.kill('SIGTERM')
  t.equal(await server.ended, 0)
  t.ok((await readToEnd(download)).length < file.length)
  t.equal(walOf(folder), 0)
  t.same((await lastEntries(folder)).slice(-2), ['download', 'server.stop'])
})

t.test(
  'a second server on the same ledger ends at once, with a line that says what to do',
  async (t) => {
    const folder = t.testdir()
    const first = run(t, folder)
    await first.logged('listening')
    const second = run(t, folder)
    t.equal(await second.ended, 2)
    t.match(second.stderr(), /^strongroom: .*another server.*\n$/)
    first.child.kill('SIGINT')
    t.equal(await first.ended, 0)
  },
)

t.test('what keeps the server from starting is told in one line, without a stack', async (t) => {
  const taken = createServer()
  taken.listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const address = taken.address()
  const port = typeof address === 'object' ? String(address?.port) : ''
  const root = t.testdir({ file: '' })
  const cases: Readonly<Record<string, Readonly<Record<string, string>>>> = {
    'a port in use': { STRONGROOM_PORT: port },
    'an address of another machine': { STRONGROOM_HOST: '192.0.2.1' },
    'a host that nobody knows': { STRONGROOM_HOST: 'no.such.host.invalid' },
    'a vault that is a file': { STRONGROOM_VAULT: join(root, 'file') },
    'a ledger below a file': { STRONGROOM_LEDGER: join(root, 'file/ledger') },
    'a ledger inside the vault': { STRONGROOM_LEDGER: join(root, 'a port in use/vault/ledger') },
    'an audit key that is missing': { STRONGROOM_AUDIT_KEY_FILE: join(root, 'no-key') },
    'an audit key that is short': { STRONGROOM_AUDIT_KEY_FILE: join(root, 'file') },
    'a proxy that is no address': { STRONGROOM_TRUST_PROXY: '1.2.3.4.5' },
  }
  for (const [what, settings] of Object.entries(cases)) {
    const { ended, stderr } = run(t, join(root, 'a port in use'), settings)
    t.equal(await ended, 2, what)
    t.match(stderr(), /^strongroom: [^\n]+\n$/, what)
    t.notMatch(stderr(), /:\d+:\d+/, what)
  }
})

t.test('a ledger that is damaged is refused, and nothing is made of it', async (t) => {
  const folder = t.testdir({ ledger: {}, vault: {} })
  writeFileSync(join(folder, 'ledger/strongroom.db'), 'not a database, but text of some length')
  const { ended, stderr } = run(t, folder)
  t.equal(await ended, 2)
  t.match(stderr(), /^strongroom: [^\n]+\n$/)
  t.same(readdirSync(join(folder, 'vault')), [])
})
