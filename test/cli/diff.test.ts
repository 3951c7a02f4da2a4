import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { run } from './fixture.ts'

const server = await startServer(t)
const env = { STRONGROOM_URL: server.url, STRONGROOM_TOKEN: ADMIN }

const f32 = (name: string, ...values: readonly number[]) => ({
  name,
  dtype: 'F32',
  shape: [values.length],
  bytes: Buffer.from(Float32Array.from(values).buffer),
})
const same = Array.from({ length: 1500 }, (_, i) => ({
  name: `body.${i}`,
  dtype: 'U8',
  shape: [1],
  bytes: Buffer.of(i & 0xff),
}))
const retyped = { name: 'retyped', dtype: 'I32', shape: [2], bytes: Buffer.alloc(8, 1) }
const first = [...same, f32('head', 3, 4), f32('old', 1), f32('retyped', 1, 2)]
const second = [...same, f32('head', 3, 5), f32('new', 1, 2), retyped]
await server.put('acme/bert/1.0', writeSafetensors(first))
await server.put('acme/bert/1.1', writeSafetensors(second))

t.test('what was added, removed and changed is a table, and a line sums it up', async (t) => {
  const shown = await run(['diff', 'acme/bert@1.0', '1.1'], env)
  t.equal(shown.code, 0, shown.stderr)
  const lines = shown.stdout.trimEnd().split('\n')
  t.match(lines[0], /^ +NAME +DTYPE +SHAPE +SIZE$/)
  t.match(lines[1], /^~ +head +F32 +\[2\] +8 B$/)
  t.match(lines[2], /^\+ +new +F32 +\[2\] +8 B$/)
  t.match(lines[3], /^- +old +F32 +\[1\] +4 B$/)
  t.match(lines[4], /^~ +retyped +F32 → I32 +\[2\] +8 B$/)
  t.equal(lines[5], '1 added, 1 removed, 2 changed, 1,500 the same')
})

t.test('how far values are apart is told where they can be compared', async (t) => {
  const shown = await run(['diff', 'acme/bert@1.0', '1.1', '--values'], env)
  t.equal(shown.code, 0, shown.stderr)
  t.match(shown.stdout, /REL L2 +MAX ABS\n/)
  t.match(shown.stdout, /\n~ +head .* 0\.2 +1\n/)
  t.match(shown.stdout, /\n~ +retyped .* - +-\n/)
})

t.test('programs get the document that the registry gives, in one piece', async (t) => {
  const shown = await run(['diff', 'acme/bert@1.0', '1.1', '--json', '--values'], env)
  t.equal(shown.code, 0, shown.stderr)
  t.match(JSON.parse(shown.stdout), {
    from: { version: '1.0', revision: /^[0-9a-f]{64}$/ },
    to: { version: '1.1' },
    added: [{ name: 'new', dtype: 'F32', shape: [2], size: 8 }],
    removed: [{ name: 'old' }],
    changed: [
      { name: 'head', from: { dtype: 'F32' }, relative_l2: 0.2, max_abs: 1 },
      { name: 'retyped', dtype: 'I32', from: { dtype: 'F32' } },
    ],
    same: 1500,
  })
})

t.test('two versions of more differences than a page are compared whole', async (t) => {
  const moved = same.map((tensor) => ({ ...tensor, name: `layer.${tensor.name}` }))
  await server.put('acme/bert/2.0', writeSafetensors(moved))
  const shown = await run(['diff', 'acme/bert', '1.1', '2.0'], env)
  t.match(shown.stdout, /\n1,500 added, 1,503 removed, 0 changed, 0 the same\n$/)
  const asJson = await run(['diff', 'acme/bert', '1.1', '2.0', '--json'], env)
  const document = JSON.parse(asJson.stdout) as Record<'added' | 'removed', readonly unknown[]>
  t.equal(document.added.length, 1500)
  t.equal(document.removed.length, 1503)
})

t.test('versions are named in three ways, and tags are followed', async (t) => {
  await run(['tag', 'acme/bert@1.0', 'production'], env)
  for (const args of [
    ['acme/bert@production', '1.0'],
    ['acme/bert', 'production', '1.0'],
    ['Acme/bert@production', 'acme/bert@1.0'],
  ]) {
    const shown = await run(['diff', ...args, '--exit-code'], env)
    t.match(shown, { code: 0, stdout: '0 added, 0 removed, 0 changed, 1,503 the same\n' })
  }
})

t.test('with --exit-code it ends with 1 where they differ', async (t) => {
  const args = ['diff', 'acme/bert@1.0', '1.1', '--exit-code']
  t.match(await run(args, env), { code: 1, stderr: '', stdout: /1 added/ })
  t.match(await run([...args, '--json'], env), { code: 1, stderr: '' })
})

t.test('what isn’t there is refused, and what can’t be meant ends with 2', async (t) => {
  t.match(await run(['diff', 'acme/bert@1.0', '9'], env), { code: 1, stderr: /NOT_FOUND/ })
  const wrong = [
    ['acme/bert@1.0'],
    ['acme/bert', '1.0'],
    ['acme/bert', '1.0', '1.1', '2.0'],
    ['acme/bert@1.0', '1.1', '2.0'],
    ['acme/bert@1.0', 'acme/other@1.0'],
    ['acme/bert@1.0', '../x'],
  ]
  const ended = await Promise.all(wrong.map((args) => run(['diff', ...args], env)))
  ended.forEach((one, i) => t.match(one, { code: 2, stdout: '' }, wrong[i]?.join(' ') ?? ''))
})
