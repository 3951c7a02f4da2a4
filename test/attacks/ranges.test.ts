import t from 'tap'
import { startServer } from '../helpers/server.ts'
import { fileUrl, head, MIB, read, shout, weights } from './hostile.ts'

t.test('no Range makes an answer larger than the file, or a different one', async (t) => {
  const server = await startServer(t)
  const bytes = weights(2 * MIB)
  const n = bytes.length
  t.equal((await server.put('acme/a/1', bytes)).status, 201)
  const many = (count: number, range: (i: number) => string): string =>
    `bytes=${Array.from({ length: count }, (_, i) => range(i)).join(',')}`
  const wholes: readonly [string, string][] = [
    ['1000 ranges', many(1000, (i) => `${i * 3}-${i * 3}`)],
    ['17 ranges', many(17, (i) => `${i * 3}-${i * 3}`)],
    ['16 times the whole', many(16, () => '0-')],
    ['two that overlap', 'bytes=0-100,100-200'],
    ['two, one within the other', `bytes=0-${n},5-6`],
    ['two suffixes', 'bytes=-100,-50'],
    ['another unit', 'lines=0-1'],
    ['no unit', '0-1'],
    ['backwards', 'bytes=5-2'],
    ['signs', 'bytes=+0-+1'],
    ['a float', 'bytes=0.5-1'],
    ['an exponent', 'bytes=0-1e3'],
    ['hex', 'bytes=0x0-0x9'],
    ['nothing', 'bytes='],
    ['a lone dash', 'bytes=-'],
    ['garbage', 'bytes=abc'],
  ]
  for (const [what, range] of wholes) {
    const answer = await read(server, 'acme/a/1', { range })
    t.equal(answer.status, 200, what)
    t.ok(answer.bytes?.equals(bytes), `${what}: the whole, once`)
  }
  for (const [range, from, to] of [
    ['bytes=0-99999999999999999999999', 0, n],
    ['bytes=0-9007199254740993', 0, n],
    ['bytes=-99999999999999999999999', 0, n],
    [`bytes=${n - 1}-18446744073709551616`, n - 1, n],
    ['bytes=00000000000000000000000000000000-0', 0, 1],
  ] as const) {
    const answer = await read(server, 'acme/a/1', { range })
    t.ok(answer.bytes?.equals(bytes.subarray(from, to)), range)
  }
  for (const range of [
    `bytes=${n}-`,
    'bytes=18446744073709551616-',
    'bytes=-0',
    'bytes=99999999999999999999-99999999999999999999',
  ]) {
    t.equal((await read(server, 'acme/a/1', { range })).code, 'RANGE_NOT_SATISFIABLE', range)
  }
  const long = many(10_000, (i) => `${i * 2}-${i * 2}`)
  const answer = await shout(
    server,
    head(`GET ${fileUrl('acme/a/1')}`, `Range: ${long}`, 'Connection: close'),
  )
  t.match(answer, /^HTTP\/1.1 431 .*REQUEST_HEADER_FIELDS_TOO_LARGE/s, '10,000 ranges')
  const twice = await shout(
    server,
    head(`GET ${fileUrl('acme/a/1')}`, 'Range: bytes=0-0', 'Range: bytes=1-1', 'Connection: close'),
  )
  t.ok(twice.length < 2 * n, 'two Range headers')
})
