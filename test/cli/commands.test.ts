import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { fileOf, run } from './fixture.ts'

const server = await startServer(t)
const env = { STRONGROOM_URL: server.url, STRONGROOM_TOKEN: ADMIN }
await server.put('acme/bert/1.0', fileOf(100, { epoch: '3' }))
await server.put('acme/bert/1.1', fileOf(200))
await server.put('beta/sae/1', fileOf(100))
const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>

t.test('a token is alone on standard output, works, and works no more once revoked', async (t) => {
  const args = [
    'token',
    'create',
    '--name',
    'ci',
    '--role',
    'reader',
    '--scope',
    'acme/*',
    '--expires-in',
    '90d',
  ]
  const made = await run(args, env)
  t.equal(made.code, 0, made.stderr)
  t.match(made.stdout, /^sr_[\w-]{43}\n$/)
  const reader = { ...env, STRONGROOM_TOKEN: made.stdout.trim() }

  const seen = await run(['ls', '--json'], reader)
  t.match(json(seen.stdout), { items: [{ checkpoint: 'acme/bert', versions: 2, latest: '1.1' }] })
  t.match(await run(['token', 'list'], reader), { code: 1, stderr: /FORBIDDEN/ })

  const { items } = json((await run(['token', 'list', '--json'], env)).stdout) as {
    items: { id: string; name: string }[]
  }
  const id = items.find(({ name }) => name === 'ci')?.id ?? ''
  t.match(await run(['token', 'revoke', id], env), { code: 0, stdout: `${id} revoked\n` })
  t.match(await run(['ls'], reader), { code: 1, stderr: /UNAUTHENTICATED/ })
  t.match(await run(['token', 'revoke', 'nobody'], env), { code: 1, stderr: /NOT_FOUND/ })
})

t.test(
  'checkpoints, versions and one version are listed for people and for programs',
  async (t) => {
    t.match(await run(['ls'], env), {
      code: 0,
      stdout: /^CHECKPOINT +VERSIONS +LATEST.*\nacme\/bert +2 +1\.1 .*\nbeta\/sae +1 +1 /,
    })
    t.match(await run(['ls', 'acme/bert'], env), { code: 0, stdout: /\n1\.0 .*\n1\.1 .* latest\n/ })
    t.match(json((await run(['ls', 'acme/bert', '--json'], env)).stdout), {
      tags: { latest: '1.1' },
    })
    t.match(await run(['show', 'acme/bert@1.0'], env), {
      code: 0,
      stdout: /^acme\/bert@1\.0 is available\n/,
    })
    t.match(json((await run(['show', 'acme/bert@1.0', '--json'], env)).stdout), {
      metadata: { epoch: '3' },
    })
    t.match(await run(['show', 'acme/bert@9'], env), {
      code: 1,
      stdout: '',
      stderr: /NOT_FOUND what=version/,
    })
    t.match(await run(['verify', 'acme/bert@1.0'], env), {
      code: 0,
      stdout: /^valid +model\.safetensors/,
    })
  },
)

t.test('the audit log is read in parts and verified', async (t) => {
  const publishes = await run(['audit', '--action', 'publish', '--limit', '2', '--json'], env)
  const page = json(publishes.stdout) as { items: { seq: number; subject: string }[]; next: number }
  t.strictSame(
    page.items.map(({ subject }) => subject),
    ['acme/bert@1.0', 'acme/bert@1.1'],
  )
  const rest = await run(['audit', '--action', 'publish', '--after', String(page.next)], env)
  t.match(rest.stdout, /publish +ok +beta\/sae@1/)
  t.notMatch(rest.stdout, /acme\/bert/)
  t.match(await run(['audit', '--subject', 'beta/sae@1'], env), { code: 0, stdout: /beta\/sae@1/ })
  t.match(await run(['audit', 'verify'], env), { code: 0, stdout: /^audit log: valid\n/ })
  t.match(json((await run(['audit', 'verify', '--json'], env)).stdout), { valid: true })
})

t.test('a local file is inspected without a registry', async (t) => {
  const folder = t.testdir({
    'good.safetensors': Buffer.from(fileOf(1000, { epoch: '3' })),
    'bad.bin': Buffer.from([0x80, 2, 0x7d, 0x71, 0, 0x2e]),
  })
  const good = await run(['inspect', 'good.safetensors', '--json'], {}, folder)
  t.equal(good.code, 0, good.stderr)
  t.match(json(good.stdout), {
    valid: true,
    tensors: 1,
    parameters: 1000,
    dtypes: { U8: { tensors: 1, parameters: 1000 } },
    metadata: { epoch: '3' },
    sha256: /^[0-9a-f]{64}$/,
  })
  t.match(await run(['inspect', 'good.safetensors'], {}, folder), {
    code: 0,
    stdout: /U8: 1 tensor, 1,000 parameters/,
  })
  const bad = await run(['inspect', 'bad.bin', '--json'], {}, folder)
  t.match(bad, { code: 1, stdout: '' })
  t.match(json(bad.stderr), { code: 'INVALID_SAFETENSORS', reason: 'not_safetensors' })
  t.match(await run(['inspect', 'none'], {}, folder), {
    code: 2,
    stderr: 'strongroom: none: there is no such file or folder. [LOCAL_FILE]\n',
  })
})

const WRONG_USE: readonly (readonly string[])[] = [
  [],
  ['frob'],
  ['push'],
  ['push', 'acme/bert@1'],
  ['push', 'x.safetensors', 'acme/bert'],
  ['push', 'x.safetensors', 'acme/bert@main'],
  ['push', 'missing.safetensors', 'acme/bert@1'],
  ['push', '--meta', 'novalue', 'x.safetensors', 'acme/bert@1'],
  ['push', '--meta', 'a=1', '--meta', 'a=2', 'x.safetensors', 'acme/bert@1'],
  ['push', '--path', '../x', 'x.safetensors', 'acme/bert@1'],
  ['push', 'x.safetensors', 'x.safetensors', 'acme/bert@1'],
  ['pull', 'acme@1'],
  ['pull', 'acme/bert@'],
  ['pull', 'acme/bert@../x'],
  ['pull', 'acme/bert@1', '--sha256', 'abc'],
  ['pull', 'acme/bert@1', 'extra'],
  ['ls', '--nonsense'],
  ['ls', '--url', 'ftp://example.org'],
  ['ls', '--url', 'http://user:pass@example.org'],
  ['ls', '--token', 'two words'],
  ['token', 'create', '--name', 'x'],
  ['token', 'create', '--name', 'x', '--role', 'boss'],
  ['token', 'create', '--name', 'x', '--role', 'reader', '--expires-in', 'soon'],
  ['token', 'create', '--name', 'x', '--role', 'reader', '--scope', 'acme'],
  ['audit', '--limit', 'many'],
  ['audit', 'frob'],
  ['serve', 'now'],
]

t.test('wrong use ends with 2, says so on standard error alone, and shows no stack', async (t) => {
  const folder = t.testdir({ 'x.safetensors': Buffer.from(fileOf(10)) })
  for (const args of WRONG_USE) {
    const ended = await run(args, env, folder)
    t.match(ended, { code: 2, stdout: '' }, args.join(' '))
    t.match(ended.stderr, /^(strongroom: |Usage: )/, args.join(' '))
    t.notMatch(ended.stderr, /\n +at /)
  }
})

t.test('a registry that cannot be reached ends with 3', async (t) => {
  t.match(await run(['ls', '--url', 'http://127.0.0.1:1']), {
    code: 3,
    stdout: '',
    stderr: /nothing listens there/,
  })
  const folder = t.testdir({ 'x.safetensors': Buffer.from(fileOf(10)) })
  t.equal(
    (await run(['push', 'x.safetensors', 'a/b@1', '--url', 'http://127.0.0.1:1'], {}, folder)).code,
    3,
  )
})

t.test('everything that is wrong with the flags of serve is told at once', async (t) => {
  const ended = await run(['serve', '--port', 'abc', '--nonsense', '5', '--other=secret'], {
    STRONGROOM_LOG_LEVEL: 'loud',
  })
  t.equal(ended.code, 2)
  t.equal(ended.stderr.split('\n').length, 5, ended.stderr)
  for (const name of ['--port', '--nonsense', '--other', 'STRONGROOM_LOG_LEVEL'])
    t.match(ended.stderr, name)
  t.notMatch(ended.stderr, 'secret')
})

t.test(
  'the help of serve names every flag with its variable and what holds without it',
  async (t) => {
    const { stdout, code } = await run(['serve', '--help'])
    t.equal(code, 0)
    t.match(stdout.replace(/\s+/g, ' '), '--cache-bytes <value>')
    t.match(stdout.replace(/\s+/g, ' '), '(STRONGROOM_CACHE_BYTES, 256 MiB)')
  },
)

t.test('serve runs a registry until a signal stops it', { timeout: 30_000 }, async (t) => {
  const folder = t.testdir({ 'x.safetensors': Buffer.from(fileOf(10)) })
  const command = join(import.meta.dirname, '../../bin/strongroom.js')
  const flags = ['--port', '0', '--vault', 'vault', '--ledger', 'ledger', '--disk-floor-bytes', '0']
  const child = spawn(process.execPath, [command, 'serve', ...flags], {
    cwd: folder,
    env: { PATH: process.env['PATH'], STRONGROOM_ADMIN_TOKEN: ADMIN },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let url = ''
  for await (const line of createInterface(child.stdout)) {
    const said = json(line)
    if (said['msg'] !== 'listening') continue
    url = String(said['url'])
    break
  }
  child.stdout.resume()
  const own = { STRONGROOM_URL: url, STRONGROOM_TOKEN: ADMIN }
  t.equal((await run(['push', 'x.safetensors', 'acme/bert@1'], own, folder)).code, 0)
  child.kill('SIGTERM')
  const [code] = (await once(child, 'exit')) as [number | null]
  t.equal(code, 0)
})
