import fc from 'fast-check'
import t from 'tap'
import { formatContentRange, parseRange } from '../../src/http/range.ts'

const HUGE = '9'.repeat(400)

/** The answer in short: `whole`, `unsatisfiable`, or half-open ranges. */
function answer(header: string | undefined, size: number): string {
  const outcome = parseRange(header, size)
  if (outcome.kind !== 'ranges') return outcome.kind
  return outcome.ranges.map(({ begin, end }) => `[${begin},${end})`).join(' ')
}

type Row = readonly [header: string | undefined, size: number, answer: string]

const check = (
  t: { equal(a: unknown, b: unknown, title: string): unknown },
  rows: readonly Row[],
) => {
  for (const [header, size, expected] of rows)
    t.equal(answer(header, size), expected, `${String(header).slice(0, 60)} of ${size}`)
}

t.test('one range selects its bytes, clamped to the file', async (t) => {
  check(t, [
    ['bytes=0-0', 200, '[0,1)'],
    ['bytes=0-', 200, '[0,200)'],
    ['bytes=199-', 200, '[199,200)'],
    ['bytes=10-19', 200, '[10,20)'],
    ['bytes=10-500', 200, '[10,200)'],
    [`bytes=10-${HUGE}`, 200, '[10,200)'],
    ['bytes=10-9007199254740993', 200, '[10,200)'],
    [`bytes=${'0'.repeat(400)}7-8`, 200, '[7,9)'],
    ['bytes=-1', 200, '[199,200)'],
    ['bytes=-200', 200, '[0,200)'],
    ['bytes=-500', 200, '[0,200)'],
    [`bytes=-${HUGE}`, 200, '[0,200)'],
    ['Bytes=1-2', 200, '[1,3)'],
    ['bytes= \t1-2\t ', 200, '[1,3)'],
    ['bytes=,1-2,,', 200, '[1,3)'],
    ['bytes=9007199254740990-', Number.MAX_SAFE_INTEGER, '[9007199254740990,9007199254740991)'],
  ])
})

t.test('a range with no byte of the file in it is unsatisfiable', async (t) => {
  check(t, [
    ['bytes=200-', 200, 'unsatisfiable'],
    ['bytes=200-300', 200, 'unsatisfiable'],
    [`bytes=${HUGE}-`, 200, 'unsatisfiable'],
    [`bytes=${HUGE}-${HUGE}`, 200, 'unsatisfiable'],
    ['bytes=-0', 200, 'unsatisfiable'],
    ['bytes=-000', 200, 'unsatisfiable'],
    ['bytes=0-0', 0, 'unsatisfiable'],
    ['bytes=0-', 0, 'unsatisfiable'],
    ['bytes=-5', 0, 'unsatisfiable'],
    ['bytes=-0,300-400', 200, 'unsatisfiable'],
  ])
})

t.test('a Range that is absent, of another unit or malformed is ignored', async (t) => {
  const rows = [
    '',
    'bytes',
    'bytes=',
    'bytes=,',
    'bytes=-',
    'bytes=abc',
    'bytes=500-0',
    'bytes=9007199254740993-9007199254740992',
    'bytes=1-2-3',
    'bytes=--1',
    'bytes=+1-2',
    'bytes=1 - 2',
    'bytes=1-2;',
    'bytes=0x1-0x2',
    'bytes=1.0-2',
    'bytes=\u00a01-2',
    'bytes=0-1,abc',
    'bytes=0-1, bytes=2-3',
    'bytes =0-1',
    ' =0-1',
    '=0-1',
    'items=0-1',
    'byte\u017f=0-1',
  ]
  check(t, [
    [undefined, 200, 'whole'],
    [undefined, 0, 'whole'],
    ['bytes=abc', 0, 'whole'],
    ...rows.map((header): Row => [header, 200, 'whole']),
  ])
})

t.test('several ranges come in the order asked, without those beyond the file', async (t) => {
  check(t, [
    ['bytes=0-0,-1', 200, '[0,1) [199,200)'],
    ['bytes=100-109 , 0-9', 200, '[100,110) [0,10)'],
    ['bytes=0-9,10-19', 200, '[0,10) [10,20)'],
    ['bytes=0-0,300-400,-0', 200, '[0,1)'],
  ])
})

t.test('ranges that overlap, or more than 16 of them, are answered with the whole', async (t) => {
  const spread = (count: number) =>
    `bytes=${Array.from({ length: count }, (_, i) => `${i * 2}-${i * 2}`).join()}`
  check(t, [
    ['bytes=0-9,9-19', 200, 'whole'],
    ['bytes=50-60,0-100', 200, 'whole'],
    ['bytes=0-0,0-0', 200, 'whole'],
    ['bytes=0-1,-500', 200, 'whole'],
    [spread(17), 200, 'whole'],
  ])
  t.match(parseRange(spread(16), 200), { kind: 'ranges', ranges: { length: 16 } })
})

t.test('the longest header that a server takes is parsed in no time', async (t) => {
  const length = 16_384
  const begun = performance.now()
  for (const part of [' ', ',', '-', '0', '9', '0-', '1,', ' ,', '\t x'])
    for (const tail of ['', 'x', '-', '-x']) parseRange(`bytes=${part.repeat(length)}${tail}`, 200)
  t.ok(performance.now() - begun < 2000)
})

t.test('ranges lie in the file, in number 1 to 16, and never overlap', async (t) => {
  const unit = fc.constantFrom('0', '1', '9', '-', ',', ' ', '=', 'x', '10-20', '-5', HUGE)
  const near = fc.string({ unit, maxLength: 40 }).map((text) => `bytes=${text}`)
  fc.assert(
    fc.property(fc.oneof(near, fc.string()), fc.nat(100), (header, size) => {
      const outcome = parseRange(header, size)
      if (outcome.kind !== 'ranges') return true
      const bytes = outcome.ranges.flatMap(({ begin, end }) =>
        Array.from({ length: end - begin }, (_, i) => begin + i),
      )
      return (
        outcome.ranges.length >= 1 &&
        outcome.ranges.length <= 16 &&
        outcome.ranges.every(({ begin, end }) => 0 <= begin && begin < end && end <= size) &&
        new Set(bytes).size === bytes.length
      )
    }),
    { numRuns: 2000 },
  )
  t.pass()
})

t.test('a Content-Range names the last byte, not the one after it', async (t) => {
  t.equal(formatContentRange({ begin: 10, end: 20 }, 200), 'bytes 10-19/200')
})
