import fc from 'fast-check'
import t from 'tap'
import { planByteranges } from '../../src/http/multipart-ranges.ts'
import type { ByterangesPlan } from '../../src/http/multipart-ranges.ts'

/** The body as it goes over the wire. */
function bodyOf(plan: ByterangesPlan, file: Buffer): Buffer {
  const parts = plan.parts.flatMap(({ preamble, range }) => [
    preamble,
    file.subarray(range.begin, range.end),
  ])
  return Buffer.concat([...parts, plan.closing])
}

t.test('several ranges travel as parts that each say where they belong', async (t) => {
  const ranges = [
    { begin: 0, end: 5 },
    { begin: 20, end: 26 },
  ]
  const plan = planByteranges(ranges, 26, 'application/octet-stream', 'BOUNDARY')
  const body = bodyOf(plan, Buffer.from('abcdefghijklmnopqrstuvwxyz'))
  const lines = [
    '--BOUNDARY',
    'Content-Type: application/octet-stream',
    'Content-Range: bytes 0-4/26',
    '',
    'abcde',
    '--BOUNDARY',
    'Content-Type: application/octet-stream',
    'Content-Range: bytes 20-25/26',
    '',
    'uvwxyz',
    '--BOUNDARY--',
    '',
  ]
  t.equal(body.toString(), lines.join('\r\n'))
  t.equal(plan.contentType, 'multipart/byteranges; boundary=BOUNDARY')
  t.equal(plan.contentLength, body.length)
})

t.test(
  'the length announced is the length sent, and every part gives back its bytes',
  async (t) => {
    const cut = fc.tuple(fc.nat(99), fc.integer({ min: 1, max: 100 }))
    const file = Buffer.from(Array.from({ length: 200 }, (_, i) => i))
    fc.assert(
      fc.property(fc.array(cut, { minLength: 1, maxLength: 16 }), (cuts) => {
        const ranges = cuts.map(([begin, length]) => ({ begin, end: begin + length }))
        const plan = planByteranges(ranges, file.length, 'application/octet-stream', 'sr-7Yd0')
        const body = bodyOf(plan, file)
        const found = body.toString('latin1').split('--sr-7Yd0').slice(1, -1)
        return (
          body.length === plan.contentLength &&
          found.every((part, i) => {
            const content = part.slice(part.indexOf('\r\n\r\n') + 4, -2)
            const range = ranges[i]
            return content === file.subarray(range?.begin, range?.end).toString('latin1')
          })
        )
      }),
    )
    t.pass()
  },
)

t.test('offsets beyond 2^32 are added exactly', async (t) => {
  const size = Number.MAX_SAFE_INTEGER
  const ranges = [
    { begin: 0, end: 2 ** 40 },
    { begin: 2 ** 41, end: 2 ** 41 + 1 },
  ]
  const plan = planByteranges(ranges, size, 'application/octet-stream', 'b')
  const preambles = plan.parts.reduce((sum, part) => sum + part.preamble.length, 0)
  t.equal(plan.contentLength, 2 ** 40 + 1 + preambles + plan.closing.length)
})
