import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { pino } from 'pino'
import { backupLedger } from '../db/backup.ts'
import { openSnapshot } from '../db/open-snapshot.ts'
import { readOnlyLedger } from '../src/read-only-ledger.ts'
import { deface, fileUrl, flip, MIB, verdict, weights, whereInVault } from './attacks/hostile.ts'
import { ADMIN, startServer, type TestServer } from './helpers/server.ts'
import { exchange, jsonOf, problem, smallFile } from './routes/wire.ts'
import { refusal } from './routes/hub/repository.ts'

const BIN = join(import.meta.dirname, '../bin/strongroom.js')

/** Both folders are mounted anew, read-only, for one process alone. */
const READ_ONLY_MOUNTS: readonly string[] = [
  'unshare',
  '--user',
  '--map-root-user',
  '--mount',
  'sh',
  '-ec',
  'for folder in "$1" "$2"; do mount --bind "$folder" "$folder"; mount -o remount,ro,bind "$folder"; done; shift 2; exec "$@"',
  'sh',
]

type Line = Readonly<Record<string, unknown>>

interface Replica {
  readonly url: string
  readonly log: () => readonly Line[]
  readonly get: (path: string, headers?: Record<string, string>) => Promise<Response>
  readonly send: (
    method: string,
    path: string,
    init?: { body?: Uint8Array<ArrayBuffer>; headers?: Record<string, string> },
  ) => Promise<Response>
  /** SIGTERM; the exit code. */
  readonly stop: () => Promise<number | null>
}

const primary = await startServer(t)
const bytes = weights(2.5 * MIB)
await primary.put('acme/bert/1', bytes)
await primary.put('acme/bert/2', smallFile(2))
const unread = weights(2.5 * MIB, 2)
await primary.put('acme/unread/1', unread)
const readerToken = await primary.token('reader')
const vault = join(primary.folder, 'data/vault')
const snapshots = join(primary.folder, 'snapshots')
const snapshot = join(snapshots, 'strongroom.db')
mkdirSync(snapshots, { mode: 0o700 })
await takeSnapshot()
// What read-only mounts do for whoever runs this, modes do for all but root.
chmodSync(snapshots, 0o500)

function takeSnapshot(): Promise<unknown> {
  const order = { auditKey: undefined, signal: new AbortController().signal }
  return backupLedger(join(primary.folder, 'data/ledger'), snapshot, order)
}

/** How a process is kept from writing to both folders. */
function launcher(): readonly string[] {
  const mounting = [...READ_ONLY_MOUNTS, vault, snapshots]
  const attempt = [...mounting, 'sh', '-c', '! touch "$1" 2>&1', 'sh', join(vault, 'x')]
  if (spawnSync('env', attempt).status === 0) return mounting
  t.comment('NO MOUNT NAMESPACES HERE: READ-ONLY MOUNTS WERE NOT TRIED')
  return []
}
const launched = launcher()

/** Every file and folder with what would tell that it was touched. */
const stateOf = (...folders: readonly string[]): readonly string[] =>
  folders.flatMap((folder) =>
    ['.', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })].sort().map((path) => {
      const { mtimeMs, ctimeMs, size, mode, ino } = lstatSync(join(folder, path))
      return [join(folder, path), mtimeMs, ctimeMs, size, mode, ino].join(' ')
    }),
  )

/** A server that only reads, as its operator starts it, in a process of its own. */
async function startReplica(ledger: string): Promise<Replica> {
  // Without what tap makes a child measure: it triples the time that a start takes.
  const plain = ['-u', 'NODE_OPTIONS', '-u', 'NODE_V8_COVERAGE']
  const server = [process.execPath, BIN, 'serve', '--read-only', '1']
  const child = spawn('env', [...plain, ...launched, ...server], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      STRONGROOM_PORT: '0',
      STRONGROOM_VAULT: vault,
      STRONGROOM_LEDGER: ledger,
      STRONGROOM_CACHE_BYTES: '16MiB',
      STRONGROOM_HASH_WORKERS: '1',
    },
  })
  const ended = once(child, 'close').then(([code]) => code as number | null)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  const log = (): readonly Line[] =>
    stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line)
  let listening: Line | undefined
  while ((listening = log().find(({ msg }) => msg === 'listening')) === undefined) {
    const more = await Promise.race([once(child.stdout, 'data'), ended.then(() => undefined)])
    if (more === undefined) throw new Error('the server ended before it listened')
  }
  const url = String(listening['url'])
  const send: Replica['send'] = (method, path, init = {}) =>
    fetch(url + path, {
      ...init,
      method,
      headers: { authorization: `Bearer ${ADMIN}`, ...init.headers },
    })
  return {
    url,
    log,
    send,
    get: (path, headers = {}) => send('GET', path, { headers }),
    stop: () => {
      child.kill('SIGTERM')
      return ended
    },
  }
}

const entriesOf = (replica: Replica, action: string): readonly Line[] =>
  replica
    .log()
    .flatMap(({ audit }) => (audit === undefined ? [] : [audit as Line]))
    .filter((entry) => entry['action'] === action)

const [replica, second] = await Promise.all([startReplica(snapshots), startReplica(snapshot)])

t.test('read-only nodes serve beside the one that writes, and touch nothing', async (t) => {
  const before = stateOf(vault, snapshots)
  for (const { get } of [replica, second]) {
    t.ok(Buffer.from(await (await get(fileUrl('acme/bert/1'))).arrayBuffer()).equals(bytes))
    const range = await get(fileUrl('acme/bert/1'), { range: `bytes=${MIB - 2}-${MIB + 1}` })
    t.equal(range.status, 206)
    t.same(Buffer.from(await range.arrayBuffer()), Buffer.from(bytes.subarray(MIB - 2, MIB + 2)))
  }
  for (const path of [
    '/v1/checkpoints',
    '/v1/checkpoints/acme/bert',
    '/v1/checkpoints/acme/bert/latest',
    '/v1/checkpoints/acme/bert/1/tensors',
    '/v1/checkpoints/acme/bert/1/hashes',
    '/v1/tokens',
    '/v1/whoami',
  ])
    t.strictSame(
      await jsonOf(await replica.get(path)),
      await jsonOf(await primary.request(path)),
      path,
    )
  t.equal((await replica.get('/readyz')).status, 200)
  t.equal((await replica.get('/metrics')).status, 200)
  t.match(await jsonOf(await replica.get('/v1/audit/verify')), { valid: true })
  t.match(await jsonOf(await replica.get('/v1/audit?action=publish')), {
    items: [{ subject: 'acme/bert@1' }, { subject: 'acme/bert@2' }, { subject: 'acme/unread@1' }],
  })
  const verified = await replica.send('POST', '/v1/checkpoints/acme/bert/1/verify')
  t.match(await jsonOf(verified), { valid: true })
  t.same(stateOf(vault, snapshots), before, 'not a file, not a time')
  t.equal((await primary.put('acme/bert/3', smallFile(3))).status, 201, 'the primary goes on')
  t.equal((await replica.get(fileUrl('acme/bert/3'))).status, 404, 'to be in the next snapshot')
})

/** What answers a POST and changes nothing. */
const ANSWERED = /\/(?:paths-info\/\{rev\}|validate-yaml|lfs\/.*verify)$/
const isHubs = (path: string): boolean => /^\/(?:api\/|cas\/|\{owner\})/.test(path)

t.test('every write is refused: the caller known, the body unread', async (t) => {
  const document = await jsonOf(await replica.get('/openapi.json'))
  const operations = Object.entries(document['paths'] as Record<string, object>)
    .flatMap(([path, methods]) => Object.keys(methods).map((name) => [name.toUpperCase(), path]))
    .filter(([method]) => !['GET', 'HEAD'].includes(method ?? ''))
    // Detection writes nothing: test/routes/detect-read-only.test.ts.
    .filter(([, path = '']) => !/^\/(?:detect|analyze)/.test(path))
    .filter(([, path = '']) => !ANSWERED.test(path))
  t.ok(operations.length > 4)
  for (const [method = '', path = ''] of operations) {
    const answer = await replica.send(method, path.replaceAll(/\{\w+\}/g, 'name1'))
    if (path.endsWith('/verify')) await problem(t, answer, 404, 'NOT_FOUND')
    else if (isHubs(path)) await refusal(t, answer, 403, null, 'READ_ONLY')
    else await problem(t, answer, 403, 'READ_ONLY')
  }
  const put = (headers: Record<string, string>) =>
    replica.send('PUT', '/v1/checkpoints/acme/bert/9', { body: weights(MIB), headers })
  await problem(t, await put({}), 403, 'READ_ONLY')
  await problem(t, await put({ authorization: 'Bearer sr_nobody' }), 401, 'UNAUTHENTICATED')
  await problem(t, await put({ authorization: `Bearer ${readerToken}` }), 403, 'FORBIDDEN')
  await problem(t, await replica.send('DELETE', '/v1/audit'), 405, 'METHOD_NOT_ALLOWED')
  await problem(t, await replica.send('POST', '/v1/nothing'), 404, 'NOT_FOUND')
  const waiting = await exchange(
    replica.url,
    `PUT /v1/checkpoints/acme/bert/9 HTTP/1.1\r\nhost: h\r\nauthorization: Bearer ${ADMIN}\r\n` +
      'expect: 100-continue\r\ncontent-length: 1000000000\r\n\r\n',
  )
  t.equal(waiting.status, 403, 'and no 100 Continue before it')
  t.match(waiting.body, /"READ_ONLY"/)
})

t.test('damage is found, kept in mind and told, and the bytes stay where they are', async (t) => {
  const damaged = await whereInVault(primary, 'acme/unread/1')
  deface(damaged, flip(2 * MIB))
  // Publishing the same bytes again leaves the copy that the snapshot names, unless it was damaged.
  const mended = await whereInVault(primary, 'acme/bert/2')
  t.equal((await primary.put('acme/bert/2', smallFile(2))).status, 200)
  t.equal((await replica.get(fileUrl('acme/bert/2'), { range: 'bytes=0-9' })).status, 206)
  deface(mended, flip(20))
  t.equal((await primary.put('acme/bert/2', smallFile(2))).status, 200)
  const before = stateOf(vault, snapshots)
  const failing = { status: 500, code: 'INTEGRITY_FAILURE' }
  const range = { range: `bytes=${2 * MIB}-` }
  t.match(await verdict(await replica.get(fileUrl('acme/unread/1'), range)), failing)
  t.match(await verdict(await replica.get(fileUrl('acme/bert/2'))), failing, 'repaired meanwhile')
  t.same(stateOf(vault, snapshots), before)

  deface(damaged, flip(2 * MIB))
  t.match(
    await verdict(await replica.get(fileUrl('acme/unread/1'), { range: 'bytes=0-9' })),
    failing,
  )
  t.match(await jsonOf(await replica.get('/v1/checkpoints/acme/unread/1')), {
    warnings: [/"model.safetensors" are damaged/],
  })
  const verified = await replica.send('POST', '/v1/checkpoints/acme/unread/1/verify')
  t.match(await jsonOf(verified), { valid: false })
  t.match(
    entriesOf(replica, 'integrity_failure'),
    [
      { subject: 'acme/unread@1', outcome: 'INTEGRITY_FAILURE', details: { chunk: 2 } },
      { subject: 'acme/bert@2' },
    ],
    'once each',
  )
  const others = await Promise.all([
    second.get(fileUrl('acme/unread/1')),
    primary.request(fileUrl('acme/unread/1')),
  ])
  for (const answer of others)
    t.ok(Buffer.from(await answer.arrayBuffer()).equals(unread), 'others make up their own minds')
})

t.test('SIGTERM ends a read-only node in order, its entries in the log', async (t) => {
  const before = stateOf(vault, snapshots)
  t.same(await Promise.all([replica.stop(), second.stop()]), [0, 0])
  t.same(stateOf(vault, snapshots), before)
  t.match(entriesOf(replica, 'server.start'), [{ outcome: 'ok', details: { read_only: true } }])
  t.match(entriesOf(replica, 'server.stop'), [{ outcome: 'ok' }])
  t.match(entriesOf(replica, 'verify'), [
    { subject: 'acme/bert@1', outcome: 'ok', who: { name: 'admin' }, address: '127.0.0.1' },
    { subject: 'acme/unread@1', outcome: 'INTEGRITY_FAILURE' },
  ])
  const sent = entriesOf(second, 'download').map(({ details }) => details as { bytes: number })
  t.equal(
    sent.reduce((sum, { bytes }) => sum + bytes, 0),
    bytes.length + 4 + unread.length,
  )
})

const start = (settings: Readonly<Record<string, string>>): Promise<TestServer> =>
  startServer(
    t,
    {
      STRONGROOM_READ_ONLY: '1',
      STRONGROOM_VAULT: vault,
      STRONGROOM_LEDGER: snapshots,
      ...settings,
    },
    primary.folder,
  )

t.test('the next snapshot, and the next start, serve what came since', async (t) => {
  chmodSync(snapshots, 0o700)
  await takeSnapshot()
  const next = await start({ STRONGROOM_ADMIN_TOKEN: `${ADMIN}-another` })
  for (const version of ['1', '2', '3'])
    t.equal((await next.request(fileUrl(`acme/bert/${version}`))).status, 200, version)
  const { items } = (await jsonOf(await next.request('/v1/tokens'))) as { items: unknown[] }
  t.equal(items.length, 2, 'and no token is made')
  rmSync(snapshot)
  t.equal((await next.request('/readyz')).status, 200, 'it holds on to what it has open')
  await takeSnapshot()
})

t.test('a server that only reads starts on what it can serve, and makes nothing', async (t) => {
  const at = (path: string): string => join(primary.folder, path)
  for (const path of ['other/vault/blobs', 'data/vault/hidden', 'open'])
    mkdirSync(at(path), { recursive: true, mode: 0o700 })
  for (const path of ['data/vault/hidden', 'open'])
    copyFileSync(snapshot, join(at(path), 'strongroom.db'))
  chmodSync(at('open'), 0o777)
  writeFileSync(at('key'), 'k'.repeat(32))
  const before = stateOf(primary.folder)
  const cases: readonly (readonly [string, RegExp, Readonly<Record<string, string>>])[] = [
    ['FoldersRefused', /the vault .* isn't there/, { STRONGROOM_VAULT: at('none') }],
    ['FoldersRefused', /isn't there; make a snapshot/, { STRONGROOM_LEDGER: at('none') }],
    ['FoldersRefused', /isn't there; make a snapshot/, { STRONGROOM_LEDGER: at('other') }],
    ['FoldersRefused', /inside the vault/, { STRONGROOM_LEDGER: at('data/vault/hidden') }],
    ['FoldersRefused', /writable by others/, { STRONGROOM_LEDGER: at('open') }],
    ['FoldersRefused', /another vault/, { STRONGROOM_VAULT: at('other/vault') }],
    ['LedgerRefused', /make a snapshot/, { STRONGROOM_LEDGER: at('data/ledger') }],
    ['LedgerRefused', /not authenticated/, { STRONGROOM_AUDIT_KEY_FILE: at('key') }],
  ]
  for (const [name, message, settings] of cases)
    await t.rejects(start(settings), { name, message }, String(message))
  t.same(stateOf(primary.folder), before)
})

t.test('a head with a key is checked where the key is known, and served where not', async (t) => {
  const folder = join(primary.folder, 'keyed')
  const key = join(folder, 'key')
  mkdirSync(join(folder, 'copy'), { recursive: true, mode: 0o700 })
  writeFileSync(key, 'k'.repeat(32))
  const keyed = await startServer(t, { STRONGROOM_AUDIT_KEY_FILE: key }, folder)
  const copy = join(folder, 'copy/strongroom.db')
  const auditKey = Buffer.from('k'.repeat(32))
  const { signal } = new AbortController()
  await backupLedger(join(keyed.folder, 'data/ledger'), copy, { auditKey, signal })
  const settings = { STRONGROOM_VAULT: join(folder, 'data/vault'), STRONGROOM_LEDGER: copy }
  const isToldOf = (server: TestServer): boolean =>
    server.log().some(({ msg }) => /head of the audit log .* not checked/.test(String(msg)))
  t.equal(isToldOf(await start({ ...settings, STRONGROOM_AUDIT_KEY_FILE: key })), false)
  t.equal(isToldOf(await start(settings)), true)
})

t.test('audit entries are logged whatever the level of the log', async (t) => {
  const lines: string[] = []
  const log = pino({ level: 'silent' }, { write: (line: string) => lines.push(line) })
  const ledger = readOnlyLedger(openSnapshot(snapshot, undefined), log)
  t.teardown(() => ledger.close())
  await ledger.appendAudit([{ action: 'download', outcome: 'ok' }])
  t.match(JSON.parse(lines.join()), { level: 30, audit: { action: 'download', who: null } })
  const damage = { action: 'integrity_failure', outcome: 'INTEGRITY_FAILURE' }
  t.equal(await ledger.quarantine('id', damage), true)
  t.equal(await ledger.quarantine('id', damage), false, 'found by two readers at once')
  t.equal(lines.length, 2)
  const revoking = ledger.revokeToken('id', { action: 'token.revoke', outcome: 'ok' })
  await t.rejects(revoking, { code: 'READ_ONLY' })
})
