import fc from 'fast-check'
import t from 'tap'
import { createTextReader } from '../../src/sidecars/text.ts'
import { createTiktokenReader } from '../../src/sidecars/tiktoken.ts'
import { faultIn, latin1 } from './fixture.ts'

const isUtf8 = (bytes: Uint8Array): boolean => {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return true
  } catch {
    return false
  }
}

const character = fc.constantFrom(
  'a',
  ' ',
  '\n',
  '\t',
  '\r\n',
  '\f',
  'é',
  '\u0085',
  '漢',
  '🙂',
  '\ufeff',
)
const written = fc.array(character).map((parts) => Buffer.from(`#${parts.join('')}`))
const bytes = fc.uint8Array({ max: 255 }).map((tail) => Buffer.from([0x23, ...tail]))

t.test('text is strict UTF-8 without control characters, however it is cut', async (t) => {
  const lengths = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 })
  let good = 0
  fc.assert(
    fc.property(fc.oneof(written, bytes), lengths, (text, lengths) => {
      const hasControl = text.some(
        (byte) => byte === 0x7f || (byte < 32 && ![9, 10, 12, 13].includes(byte)),
      )
      const expected = isUtf8(text) && !hasControl
      good += Number(expected)
      const fault = faultIn(createTextReader(), text)
      return (
        (fault === undefined) === expected && faultIn(createTextReader(), text, lengths) === fault
      )
    }),
    { seed: 7, numRuns: 5000 },
  )
  t.ok(good > 1000 && good < 4500, 'of both kinds there were many')
})

t.test('the byte at which it stops being text is told', async (t) => {
  for (const [what, text, at] of [
    ['a NUL', latin1('# a\0'), 3],
    ['an escape sequence', latin1('# \x1b[2J'), 2],
    ['DEL', latin1('#\x7f'), 1],
    ['UTF-16, little-endian', Buffer.from('\ufeff# a', 'utf16le'), 0],
    ['UTF-16, big-endian', latin1('\xfe\xff\0#'), 0],
    ['UTF-16 without a mark', Buffer.from('# a', 'utf16le'), 1],
    ['Latin-1', latin1('# caf\xe9\n'), 6],
    ['an overlong slash', latin1('#\xc0\xaf'), 1],
    ['an overlong NUL', latin1('#\xc0\x80'), 1],
    ['a surrogate', latin1('#\xed\xa0\x80'), 2],
    ['what lies beyond Unicode', latin1('#\xf4\x90\x80\x80'), 2],
    ['half a character', latin1('#\xe6\xbc'), 3],
    ['a module that a pickle names', latin1('cthis\ns\n.'), 5],
    ['a module that ends with the file', latin1('N0cthis'), 7],
  ] as const)
    t.equal(faultIn(createTextReader(), text), at, what)
})

t.test('a vocabulary of tiktoken is a token and its rank, line after line', async (t) => {
  for (const text of [
    'IQ== 0\n',
    'IQ== 0',
    'IQ== 0\nIg== 1\nYWJj 2\nYWI= 4294967295\n',
    '+/+/ 7\n',
  ])
    t.equal(faultIn(createTiktokenReader(), latin1(text), [1]), undefined, text)
  for (const [text, at] of [
    ['IQ== 0\n\n', 7],
    ['IQ==0\n', 4],
    ['IQ==  0\n', 5],
    ['IQ= 0\n', 3],
    ['=IQ= 0\n', 1],
    ['IQ=== 0\n', 4],
    ['I_Q= 0\n', 1],
    ['IQ== 0x1\n', 6],
    ['IQ== -1\n', 5],
    ['IQ== \n', 5],
    ['IQ==', 4],
    ['IQ== 0\r\n', 6],
    ['IQ== 12345678901\n', 15],
    [' 0\n', 0],
    ["cos\nsystem\n(S'true'\ntR.", 3],
  ] as const)
    t.equal(faultIn(createTiktokenReader(), latin1(text), [1]), at, JSON.stringify(text))
})
