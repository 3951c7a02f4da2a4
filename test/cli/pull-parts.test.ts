import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { nameAt, tensorAt } from '../../src/safetensors/columns.ts'
import { validate } from '../../src/safetensors/stream.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { run } from './fixture.ts'

const server = await startServer(t)
const env = { STRONGROOM_URL: server.url, STRONGROOM_TOKEN: ADMIN }
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>

const numbers = (count: number): Buffer =>
  Buffer.from(Float32Array.from({ length: count }, (_, i) => i).buffer)
const tensors = [
  { name: 'layers.0.w', dtype: 'F32', shape: [6, 4], bytes: numbers(24) },
  { name: 'layers.1.w', dtype: 'F32', shape: [700, 1000], bytes: numbers(700_000) },
  { name: '../../etc/x y', dtype: 'U8', shape: [3], bytes: Buffer.of(1, 2, 3) },
  { name: 'text', dtype: 'U8', shape: [10], bytes: Buffer.from('plain text') },
  { name: 'scale', dtype: 'F32', shape: [], bytes: numbers(1) },
  { name: 'nothing', dtype: 'F16', shape: [0, 7], bytes: Buffer.alloc(0) },
]
const bytesOf = (name: string): Buffer =>
  tensors.find((tensor) => tensor.name === name)?.bytes ?? Buffer.alloc(0)
await server.put('acme/bert/1', writeSafetensors(tensors, { format: 'pt' }))

const pull = (folder: string, ...args: readonly string[]) =>
  run(['pull', 'acme/bert@1', ...args], env, folder)

t.test('a tensor’s bytes are written as they are, under a name made of its own', async (t) => {
  const folder = t.testdir()
  const pulled = await pull(folder, '--tensor', 'layers.1.w', '--json')
  t.equal(pulled.code, 0, pulled.stderr)
  t.match(json(pulled.stdout), {
    checkpoint: 'acme/bert',
    version: '1',
    tensor: { name: 'layers.1.w', path: 'model.safetensors', dtype: 'F32', shape: [700, 1000] },
    local: 'layers.1.w.bin',
    size: 2_800_000,
    sha256: sha256(bytesOf('layers.1.w')),
  })
  t.ok(readFileSync(join(folder, 'layers.1.w.bin')).equals(bytesOf('layers.1.w')))

  const odd = await pull(folder, '--tensor', '../../etc/x y', '-o', 'new/sub/')
  t.equal(odd.code, 0, odd.stderr)
  t.match(odd.stdout, /\.\.\/\.\.\/etc\/x y {2}U8 \[3\] {2}3 B {2}sha256 [0-9a-f]{64}\n/)
  t.strictSame(readdirSync(join(folder, 'new/sub')), ['_._.._etc_x_y.bin'])

  for (const name of ['scale', 'nothing']) {
    const one = await pull(folder, '--tensor', name, '-o', 'named')
    t.equal(one.code, 0, one.stderr)
    t.ok(readFileSync(join(folder, 'named')).equals(bytesOf(name)), name)
  }
})

t.test('a slice is written with the shape that it has', async (t) => {
  const folder = t.testdir()
  const pulled = await pull(folder, '--tensor', 'layers.0.w', '--slice', '-2:,1', '--json')
  t.equal(pulled.code, 0, pulled.stderr)
  t.match(json(pulled.stdout), {
    tensor: { name: 'layers.0.w', slice: '-2:,1', dtype: 'F32', shape: [2] },
    local: 'layers.0.w_-2__1_.bin',
    size: 8,
  })
  const written = readFileSync(join(folder, 'layers.0.w_-2__1_.bin'))
  t.strictSame([written.readFloatLE(0), written.readFloatLE(4)], [17, 21])
})

t.test('standard output has the bytes and nothing else', async (t) => {
  const folder = t.testdir()
  t.match(await pull(folder, '--tensor', 'text', '-o', '-'), {
    code: 0,
    stdout: 'plain text',
    stderr: /^- {2}text {2}U8 \[10\] {2}10 B {2}sha256/,
  })
  const selected = await pull(folder, '--select', 'text', '-o', '-')
  t.match(selected.stdout, /"text":\{"dtype":"U8","shape":\[10\].*plain text$/)
  t.strictSame(readdirSync(folder), [], 'no file is made')
})

t.test('a selection is a valid file of just those tensors', async (t) => {
  const folder = t.testdir()
  const pulled = await pull(folder, '--select', 'layers.*', '--select', 'scale', '--json')
  t.equal(pulled.code, 0, pulled.stderr)
  const file = readFileSync(join(folder, 'selection.safetensors'))
  t.match(json(pulled.stdout), { tensors: 3, size: file.length, sha256: sha256(file) })
  const { columns } = validate(file)
  const names = Array.from({ length: columns.count }, (_, i) => nameAt(columns, i))
  t.strictSame(names.toSorted(), ['layers.0.w', 'layers.1.w', 'scale'])
  for (let i = 0; i < columns.count; i += 1) {
    const { name, begin, end } = tensorAt(columns, i)
    t.ok(file.subarray(begin, end).equals(bytesOf(name)), name)
  }

  const several = await pull(folder, '--select', 'layers.0*', '--select', 'no*', '-o', 'some')
  t.equal(several.code, 0, several.stderr)
  t.match(several.stdout, /^some {2}2 tensors {2}/)
  t.equal(validate(readFileSync(join(folder, 'some'))).columns.count, 2)
  const all = await pull(folder, '--select', '*', '-o', 'all')
  t.equal(all.code, 0, all.stderr)
  t.equal(validate(readFileSync(join(folder, 'all'))).columns.count, tensors.length)
})

t.test('what several files hold needs a path', async (t) => {
  const part = { name: 'w', dtype: 'U8', shape: [1] }
  const folder = t.testdir({
    model: {
      'a.safetensors': Buffer.from(writeSafetensors([{ ...part, bytes: Buffer.of(1) }])),
      'b.safetensors': Buffer.from(writeSafetensors([{ ...part, bytes: Buffer.of(2) }])),
    },
  })
  t.equal((await run(['push', 'model', 'acme/twins@1'], env, folder)).code, 0)
  const twins = (...args: readonly string[]) => run(['pull', 'acme/twins@1', ...args], env, folder)
  for (const which of ['--tensor', '--select']) {
    t.match(await twins(which, 'w', '-o', 'none'), { code: 1, stderr: /INVALID_REQUEST/ })
    t.notOk(existsSync(join(folder, 'none')))
    const told = await twins(which, 'w', '-o', 'out', '--path', 'b.safetensors')
    t.equal(told.code, 0, told.stderr)
    t.equal(readFileSync(join(folder, 'out')).at(-1), 2)
    t.match(await twins(which, 'w', '--path', 'c'), { code: 1, stderr: /NOT_FOUND what=file/ })
  }
})

t.test('a refusal names what is near, and leaves nothing', async (t) => {
  const folder = t.testdir()
  t.match(await pull(folder, '--tensor', 'layers.0.W'), {
    code: 1,
    stderr: /NOT_FOUND what=tensor .*layers\.0\.w/,
  })
  t.match(await pull(folder, '--select', 'layers.0.W'), {
    code: 1,
    stderr: /NOT_FOUND what=tensor .*layers\.0\.w/,
  })
  t.match(await pull(folder, '--select', 'scale', '--select', 'head*'), {
    code: 1,
    stderr: /NOT_FOUND what=tensor prefix=head/,
  })
  t.match(await pull(folder, '--tensor', 'layers.0.w', '--slice', '9'), {
    code: 1,
    stderr: /INVALID_REQUEST .*dimension/,
  })
  t.strictSame(readdirSync(folder), [])
})

t.test('what is in the way is left as it is', async (t) => {
  const folder = t.testdir({ file: 'mine', dir: { 'scale.bin': {} } })
  symlinkSync('/dev/null', join(folder, 'device'))
  t.match(await pull(folder, '--tensor', 'layers.1.w', '-o', 'device'), {
    code: 2,
    stderr: /device: it is not a file/,
  })
  t.match(await pull(folder, '--tensor', 'scale', '-o', 'dir'), {
    code: 2,
    stderr: /scale\.bin: it is not a file/,
  })
  t.match(await pull(folder, '--tensor', 'scale', '-o', 'file/'), { code: 2 })
  t.match(await pull(folder, '--tensor', 'scale', '-o', 'none/here'), { code: 2 })
  t.equal(readFileSync(join(folder, 'file'), 'utf8'), 'mine')
  t.strictSame(readdirSync(folder).toSorted(), ['device', 'dir', 'file'])
})

t.test('options that don’t go together end with 2', async (t) => {
  const folder = t.testdir()
  const wrong = [
    ['--slice', '0'],
    ['-o', '-'],
    ['--tensor', 'scale', '--select', 'scale'],
    ['--tensor', 'scale', '--base', '1'],
    ['--select', 'scale', '--sha256', '0'.repeat(64)],
    ['--select', 'scale', '--slice', '0'],
    ['--select', 'scale', '-o', '-', '--json'],
    ['--tensor', 'scale', '--path', '../x'],
  ]
  const ended = await Promise.all(wrong.map((args) => pull(folder, ...args)))
  ended.forEach((one, i) => t.match(one, { code: 2, stdout: '' }, wrong[i]?.join(' ') ?? ''))
})
