import fc from 'fast-check'
import t from 'tap'
import { parseHttpDate } from '../../src/http/http-date.ts'

const NOW = new Date('2026-11-22T10:00:00Z')

/** RFC 3339, or what the parser said instead. */
const read = (text: string) => parseHttpDate(text, NOW)?.toISOString() ?? 'no date'

t.test('each of the three forms of a date is read', async (t) => {
  t.equal(read('Sun, 06 Nov 1994 08:49:37 GMT'), '1994-11-06T08:49:37.000Z')
  t.equal(read('Sunday, 06-Nov-94 08:49:37 GMT'), '1994-11-06T08:49:37.000Z')
  t.equal(read('Wednesday, 09-Nov-94 08:49:37 GMT'), '1994-11-09T08:49:37.000Z')
  t.equal(read('Sun Nov  6 08:49:37 1994'), '1994-11-06T08:49:37.000Z')
  t.equal(read('Wed Nov 16 08:49:37 1994'), '1994-11-16T08:49:37.000Z')
})

t.test('a year of two digits is never more than 50 years ahead', async (t) => {
  t.equal(read('Saturday, 21-Nov-76 10:00:00 GMT'), '2076-11-21T10:00:00.000Z')
  t.equal(read('Tuesday, 23-Nov-76 10:00:00 GMT'), '1976-11-23T10:00:00.000Z')
  t.equal(read('Wednesday, 01-Jan-20 00:00:00 GMT'), '2020-01-01T00:00:00.000Z')
})

t.test('anything else is no date', async (t) => {
  const texts = [
    '',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 06 Nov 1994 08:49:37 UTC',
    'Sun, 06 Nov 1994 08:49:37 +0000',
    'Sun, 6 Nov 1994 08:49:37 GMT',
    'Sun, 06 nov 1994 08:49:37 GMT',
    'sun, 06 Nov 1994 08:49:37 GMT',
    'Mon, 06 Nov 1994 08:49:37 GMT',
    'Sun, 31 Feb 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 24:00:00 GMT',
    'Sun, 06 Nov 1994 08:49:61 GMT',
    'Sun,  06 Nov 1994 08:49:37 GMT',
    ' Sun, 06 Nov 1994 08:49:37 GMT',
    'Sunday, 06-Nov-1994 08:49:37 GMT',
    'Monday, 06-Nov-94 08:49:37 GMT',
    'Sunxday, 06-Nov-94 08:49:37 GMT',
    'Sun Nov 6 08:49:37 1994',
    'Mon Nov  6 08:49:37 1994',
    '1994-11-06T08:49:37Z',
    '784111777',
    `Sun, 06 Nov 1994 08:49:37 GMT${' '.repeat(16_384)}`,
  ]
  for (const text of texts) t.equal(read(text), 'no date', text.slice(0, 60))
})

t.test('a date that was sent is read back to the second', async (t) => {
  const seconds = fc.integer({ min: 0, max: 4_000_000_000 })
  fc.assert(
    fc.property(seconds, (second) => {
      const date = new Date(second * 1000)
      return parseHttpDate(date.toUTCString(), NOW)?.getTime() === date.getTime()
    }),
  )
  fc.assert(
    fc.property(fc.string({ maxLength: 40 }), (text) => {
      const date = parseHttpDate(text, NOW)
      return date === undefined || Number.isFinite(date.getTime())
    }),
  )
  t.pass()
})
