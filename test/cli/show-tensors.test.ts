import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { run } from './fixture.ts'

const server = await startServer(t)
const env = { STRONGROOM_URL: server.url, STRONGROOM_TOKEN: ADMIN }

const small = writeSafetensors([
  { name: 'layers.0.weight', dtype: 'F32', shape: [2, 3], bytes: Buffer.alloc(24) },
  { name: 'layers.1.weight', dtype: 'BF16', shape: [], bytes: Buffer.alloc(2) },
  { name: 'head', dtype: 'U8', shape: [0, 5], bytes: Buffer.alloc(0) },
])
await server.put('acme/small/1', small)
const MANY = 2500
const many = Array.from({ length: MANY }, (_, i) => ({
  name: `t.${i}`,
  dtype: 'U8',
  shape: [1],
  bytes: Buffer.of(i & 0xff),
}))
await server.put('acme/many/1', writeSafetensors(many))

const lines = (text: string): readonly string[] => text.trimEnd().split('\n')

t.test('tensors are a table for a person', async (t) => {
  const shown = await run(['show', 'acme/small@1', '--tensors'], env)
  t.equal(shown.code, 0, shown.stderr)
  const [heading = '', ...rows] = lines(shown.stdout)
  t.strictSame(heading.split(/ {2,}/), ['NAME', 'DTYPE', 'SHAPE', 'SIZE', 'SHA256'])
  t.equal(rows.length, 3)
  t.match(shown.stdout, /layers\.0\.weight +F32 +\[2, 3\] +24 B +[0-9a-f]{12}\n/)
  t.match(shown.stdout, /layers\.1\.weight +BF16 +\[\] +2 B/)
  t.match(shown.stdout, /head +U8 +\[0, 5\] +0 B/)
  const some = await run(['show', 'acme/small@1', '--tensors', '--prefix', 'layers.1'], env)
  t.equal(lines(some.stdout).length, 2)
  const none = await run(['show', 'acme/small@1', '--tensors', '--prefix', 'nothing'], env)
  t.match(none, { code: 0, stdout: '' })
})

t.test('tensors are one JSON document for a program', async (t) => {
  const shown = await run(['show', 'acme/many@latest', '--tensors', '--json'], env)
  t.equal(shown.code, 0, shown.stderr)
  const document = JSON.parse(shown.stdout) as { items: { name: string; begin: number }[] }
  t.match(document, { checkpoint: 'acme/many', version: '1', revision: /^[0-9a-f]{64}$/ })
  t.equal(new Set(document.items.map(({ name }) => name)).size, MANY, 'of all pages')
  t.match(document.items[0], { path: 'model.safetensors', dtype: 'U8', shape: [1], size: 1 })
  const table = await run(['show', 'acme/many@latest', '--tensors'], env)
  t.equal(lines(table.stdout).length, MANY + 1)
  const empty = await run(['show', 'acme/many@1', '--tensors', '--prefix', 'x', '--json'], env)
  t.match(JSON.parse(empty.stdout), { version: '1', items: [] })
})

t.test('statistics are columns of their own', async (t) => {
  const shown = await run(['show', 'acme/small@1', '--tensors', '--stats'], env)
  t.equal(shown.code, 0, shown.stderr)
  const [heading = '', ...rows] = lines(shown.stdout)
  t.match(heading, /SHA256 +NAN +\+INF +-INF +ZEROS +MIN +MAX +MEAN +ABS MAX +L2$/)
  t.equal(new Set(rows.map((row) => row.split(/ {2,}/).length)).size, 1, 'a cell for each')

  const numbers = Buffer.from(Float32Array.of(1, NaN, -Infinity, 0, -2.00004).buffer)
  const mixed = { name: 'mixed', dtype: 'F32', shape: [5], bytes: numbers }
  const whole = { name: 'whole', dtype: 'U8', shape: [1], bytes: Buffer.of(7) }
  await server.put('acme/mixed/1', writeSafetensors([mixed, whole]))
  const some = await run(['show', 'acme/mixed@1', '--tensors', '--stats'], env)
  const [, first = '', second = ''] = lines(some.stdout)
  t.strictSame(first.split(/ {2,}/).slice(5), [
    '1',
    '0',
    '1',
    '1',
    '-2',
    '1',
    '-0.3333',
    '2',
    '2.236',
  ])
  t.match(second, /^whole .*( +-){9}$/)
})

t.test('a version that is not there, and options that mean the tensors', async (t) => {
  t.match(await run(['show', 'acme/none@1', '--tensors', '--json'], env), {
    code: 1,
    stdout: '',
    stderr: /NOT_FOUND/,
  })
  const withTensors = await run(['show', 'acme/small@1', '--tensors', '--stats'], env)
  t.same(await run(['show', 'acme/small@1', '--stats'], env), withTensors)
})
