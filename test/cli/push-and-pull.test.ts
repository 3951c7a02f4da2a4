import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { fileOf, run } from './fixture.ts'

const MIB = 1024 * 1024
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>

const server = await startServer(t)
const env = { STRONGROOM_URL: server.url, STRONGROOM_TOKEN: ADMIN }

t.test('what is pushed comes back byte for byte', async (t) => {
  const bytes = fileOf(3 * MIB + 17, { epoch: '3' })
  const folder = t.testdir({ 'weights.safetensors': Buffer.from(bytes) })

  const pushed = await run(
    ['push', 'weights.safetensors', 'acme/bert@1.0', '--meta', 'loss=0.12'],
    env,
    folder,
  )
  t.equal(pushed.code, 0, pushed.stderr)
  t.match(pushed.stdout, /^acme\/bert@1\.0 published\n/)
  t.match(pushed.stdout, /metadata +loss = 0\.12/)

  const pulled = await run(
    ['pull', 'acme/bert@latest', '-o', 'out/deep', '--sha256', sha256(bytes)],
    env,
    folder,
  )
  t.equal(pulled.code, 0, pulled.stderr)
  t.strictSame(readdirSync(join(folder, 'out/deep')), ['weights.safetensors'], 'no part is left')
  t.ok(readFileSync(join(folder, 'out/deep/weights.safetensors')).equals(bytes))

  const again = await run(['pull', 'acme/bert@1.0', '-o', 'out/deep', '--json'], env, folder)
  t.match(json(again.stdout), {
    version: '1.0',
    files: [{ outcome: 'present', sha256: sha256(bytes) }],
  })

  writeFileSync(join(folder, 'out/deep/weights.safetensors'), fileOf(3 * MIB + 17, { epoch: '4' }))
  const replaced = await run(['pull', 'acme/bert@1.0', '-o', 'out/deep'], env, folder)
  t.equal(replaced.code, 0, replaced.stderr)
  t.ok(
    readFileSync(join(folder, 'out/deep/weights.safetensors')).equals(bytes),
    'other content is replaced',
  )
})

t.test(
  'the same push again succeeds and says so, another is refused with its reason',
  async (t) => {
    const folder = t.testdir({
      'model.safetensors': Buffer.from(fileOf(100)),
      'other.safetensors': Buffer.from(fileOf(101)),
    })
    const args = ['push', 'model.safetensors', 'acme/same@1']
    t.equal((await run(args, env, folder)).code, 0)
    t.match(await run(args, env, folder), { code: 0, stdout: /was already published/ })
    const other = await run(['push', 'other.safetensors', 'acme/same@1', '--json'], env, folder)
    t.match(other, { code: 1, stdout: '' })
    t.match(json(other.stderr), { code: 'VERSION_EXISTS', revision: /^[0-9a-f]{64}$/ })
  },
)

t.test('a folder keeps its relative paths and leaves out what is no safetensors', async (t) => {
  const shard = Buffer.from(fileOf(2 * MIB))
  const small = Buffer.from(fileOf(64))
  const index = Buffer.from(JSON.stringify({ weight_map: { w: 'model-1.safetensors' } }))
  const folder = t.testdir({
    model: {
      'model-1.safetensors': shard,
      'model.safetensors.index.json': index,
      'config.json': '{}',
      'é "q"': { 'x.safetensors': small },
    },
  })
  const cached = join(folder, 'blob')
  writeFileSync(cached, fileOf(65))
  symlinkSync(cached, join(folder, 'model/linked.safetensors'))

  const pushed = await run(['push', 'model', 'acme/sharded@1'], env, folder)
  t.equal(pushed.code, 0, pushed.stderr)
  t.match(pushed.stderr, /left out.*config\.json/)
  const pulled = await run(['pull', 'acme/sharded@1', '-o', 'out'], env, folder)
  t.equal(pulled.code, 0, pulled.stderr)
  t.ok(readFileSync(join(folder, 'out/model-1.safetensors')).equals(shard))
  t.ok(readFileSync(join(folder, 'out/model.safetensors.index.json')).equals(index))
  t.ok(readFileSync(join(folder, 'out/é "q"/x.safetensors')).equals(small))
  t.ok(statSync(join(folder, 'out/linked.safetensors')).isFile())

  const one = await run(
    [
      'pull',
      'acme/sharded@1',
      '-o',
      'one',
      '--path',
      'é "q"/x.safetensors',
      '--sha256',
      sha256(small),
    ],
    env,
    folder,
  )
  t.equal(one.code, 0, one.stderr)
  t.strictSame(readdirSync(join(folder, 'one')), ['é "q"'])
})

t.test('a folder’s sidecars are pushed where asked for and admitted', async (t) => {
  const folder = t.testdir({
    model: {
      'model.safetensors': Buffer.from(fileOf(10)),
      'config.json': '{"hidden_size": 8}',
      'train.py': 'print()',
      '.gitignore': '*.bin',
    },
    'policy.json': '{"sidecars": true}',
  })
  const push = ['push', 'model', 'acme/complete@1', '--sidecars']
  t.match(await run(push, env, folder), { code: 1, stderr: /INVALID_SAFETENSORS/ })
  const policy = ['policy', 'acme/complete', '--set', 'policy.json']
  t.equal((await run(policy, env, folder)).code, 0)
  const pushed = await run(push, env, folder)
  t.equal(pushed.code, 0, pushed.stderr)
  t.match(pushed.stderr, /left out by name: \.gitignore, train\.py/)
  t.equal((await run(['pull', 'acme/complete@1', '-o', 'out'], env, folder)).code, 0)
  t.strictSame(readdirSync(join(folder, 'out')), ['config.json', 'model.safetensors'])
})

t.test('metadata too long for a URL travels in a form', async (t) => {
  const folder = t.testdir({ 'model.safetensors': Buffer.from(fileOf(10)) })
  const long = 'x'.repeat(30_000)
  const pushed = await run(
    ['push', 'model.safetensors', 'acme/wordy@1', '--meta', `note=${long}`, '--json'],
    env,
    folder,
  )
  t.equal(pushed.code, 0, pushed.stderr)
  t.match(json(pushed.stdout), { metadata: { note: long } })
})

t.test(
  'a file that is not safetensors is refused in the middle of its upload, and the reason is shown',
  async (t) => {
    const folder = t.testdir({
      'model.pt': Buffer.concat([Buffer.from([0x80, 0x02]), Buffer.alloc(24 * MIB, 0x2e)]),
    })
    const pushed = await run(['push', 'model.pt', 'acme/pickled@1'], env, folder)
    t.match(pushed, { code: 1, stdout: '' })
    t.match(pushed.stderr, /^strongroom: .*\[INVALID_SAFETENSORS .*reason=not_safetensors.*\]\n$/)
    t.match(pushed.stderr, /path=model\.safetensors/)
    t.equal((await run(['show', 'acme/pickled@1'], env)).code, 1, 'nothing was kept')
  },
)

t.test('a push that may not be is refused before its body', async (t) => {
  const folder = t.testdir({ 'model.safetensors': Buffer.from(fileOf(8 * MIB)) })
  const made = await run(
    ['token', 'create', '--name', 'ci', '--role', 'writer', '--scope', 'other/*'],
    env,
  )
  const token = made.stdout.trim()
  const scoped = await run(
    ['push', 'model.safetensors', 'acme/bert@9', '--json'],
    { ...env, STRONGROOM_TOKEN: token },
    folder,
  )
  t.equal(scoped.code, 1)
  t.match(json(scoped.stderr), { code: 'FORBIDDEN' })
  const nobody = await run(
    ['push', 'model.safetensors', 'acme/bert@9'],
    { STRONGROOM_URL: server.url },
    folder,
  )
  t.match(nobody, { code: 1, stderr: /UNAUTHENTICATED/ })
})

t.test('a pull whose expected hash is another writes nothing', async (t) => {
  const folder = t.testdir({ 'model.safetensors': Buffer.from(fileOf(10)) })
  t.equal((await run(['push', 'model.safetensors', 'acme/hashed@1'], env, folder)).code, 0)
  const args = ['pull', 'acme/hashed@1', '-o', 'out', '--sha256', '0'.repeat(64)]
  t.match(await run(args, env, folder), { code: 1, stderr: /DIGEST_MISMATCH/ })
  t.strictSame(readdirSync(folder), ['model.safetensors'])
})

t.test('a pull follows no symbolic link below its folder', async (t) => {
  const folder = t.testdir({ 'model.safetensors': Buffer.from(fileOf(10)), elsewhere: {}, out: {} })
  const push = ['push', 'model.safetensors', 'acme/nested@1', '--path', 'sub/model.safetensors']
  t.equal((await run(push, env, folder)).code, 0)
  symlinkSync('../elsewhere', join(folder, 'out/sub'))
  const pulled = await run(['pull', 'acme/nested@1', '-o', 'out'], env, folder)
  t.match(pulled, { code: 2, stderr: /out\/sub.*not a folder/ })
  t.strictSame(readdirSync(join(folder, 'elsewhere')), [])

  mkdirSync(join(folder, 'flat/sub'), { recursive: true })
  writeFileSync(join(folder, 'precious'), 'untouched')
  symlinkSync('../../precious', join(folder, 'flat/sub/model.safetensors'))
  t.equal((await run(['pull', 'acme/nested@1', '-o', 'flat'], env, folder)).code, 0)
  t.equal(
    readFileSync(join(folder, 'precious'), 'utf8'),
    'untouched',
    'the link itself is replaced',
  )
})
