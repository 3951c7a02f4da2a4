import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { createSentencepieceReader } from '../../src/sidecars/sentencepiece.ts'
import { zip } from '../attacks/pickles.ts'
import { faultIn, field, latin1, piece, sentencepieceModel, tarOfModel } from './fixture.ts'

const faultOf = (file: Uint8Array, lengths?: readonly number[]): number | undefined =>
  faultIn(createSentencepieceReader(), file, lengths)

const model = sentencepieceModel()

t.test('a model is taken, however it is cut', async (t) => {
  for (const length of [1, 2, 3, 7, 64, model.length])
    t.equal(faultOf(model, [length]), undefined, `in pieces of ${length}`)
})

t.test('a model that is cut short or has a byte too many is refused', async (t) => {
  const whole = new Set<number>()
  for (let at = 0; at < model.length;) {
    const [low = 0, high = 0] = model.subarray(at + 1)
    at += low > 127 ? 3 + (low & 127) + 128 * high : 2 + low
    whole.add(at)
  }
  t.ok(whole.has(model.length), 'the test finds the ends of fields')
  for (let end = 0; end < model.length; end++)
    if (!whole.has(end)) t.not(faultOf(model.subarray(0, end)), undefined, `${end} bytes`)
  for (const byte of [0x00, 0x0a, 0x50])
    t.not(faultOf(Buffer.concat([model, Buffer.from([byte])])), undefined)
})

t.test('what no model holds is refused at its byte', async (t) => {
  const score = latin1('\x15\0\0\0\0')
  const text = field(0x0a, Buffer.from('a'))
  const long = Buffer.alloc(20)
  for (const [what, file, at] of [
    ['another first field', Buffer.concat([field(0x12, long), model]), 0],
    ['field 6', Buffer.concat([piece('a'), field(0x32, long)]), 10],
    ['field 0', Buffer.concat([piece('a'), field(0x02, long)]), 10],
    ['a number for a message', Buffer.concat([piece('a'), latin1('\x10\x01')]), 10],
    ['a group', Buffer.concat([piece('a'), latin1('\x0b\x0c')]), 10],
    ['a piece without a field', field(0x0a, Buffer.alloc(0)), 1],
    ['a piece without text', field(0x0a, score), 6],
    ['a piece of no text', field(0x0a, latin1('\x0a\0')), 3],
    ['two texts', field(0x0a, Buffer.concat([text, text])), 5],
    ['a text longer than its piece', latin1('\x0a\x03\x0a\x02ab'), 3],
    ['a score longer than its piece', field(0x0a, Buffer.concat([text, score.subarray(0, 3)])), 5],
    ['another field of a piece', field(0x0a, latin1('\x0a\x01a\x22\x01a')), 5],
    ['no type', piece('a', 0, 0), 11],
    ['an unknown type', piece('a', 0, 7), 11],
    ['a text with a NUL', piece('a\0'), 5],
    ['a text that is not UTF-8', piece(latin1('\xff')), 4],
    ['half a character', piece(latin1('\xe2\x96')), 5],
    ['a length in more bytes than it takes', latin1('\x0a\x83\x00\x0a\x01a'), 2],
    ['a length of five bytes', latin1('\x0a\xff\xff\xff\xff\x0f'), 4],
    ['a length beyond the file', latin1('\x0a\x7f\x0a\x01a'), 5],
  ] as const) {
    t.equal(faultOf(file), at, what)
    t.equal(faultOf(file, [1]), at, `${what}, byte by byte`)
  }
})

t.test('an archive or a program in the bytes of a character map is found', async (t) => {
  const archive = zip('data.pkl', latin1('cos\nsystem\n.'))
  const hdf5 = Buffer.concat([Buffer.alloc(600), latin1('\x89HDF\r\n\x1a\n'), Buffer.alloc(99)])
  for (const [what, map] of [
    ['a ZIP', archive],
    // Python 3.11 finds the record behind which 65,536 bytes stand; others look further.
    ...[60_000, 65_534, 65_535, 65_536, 65_537, 200_000].map(
      (comment) =>
        [`a ZIP before ${comment} bytes`, Buffer.concat([archive, Buffer.alloc(comment)])] as const,
    ),
    ['HDF5', hdf5],
    ['7z', latin1("7z\xbc\xaf'\x1c\0\x04")],
    ['RAR', latin1('Rar!\x1a\x07\x01\0')],
    ['xz', latin1('\xfd7zXZ\0\0\x04')],
    ['ELF', latin1('\x7fELF\x02\x01\x01')],
    ['gzip', gzipSync('text')],
    ['a pickle', latin1('\x80\x02cthis\ns\n.')],
    ['PDF', latin1('%PDF-1.7')],
    ['a disc', Buffer.concat([Buffer.alloc(32_768), latin1('\x01CD001\x01\0')])],
  ] as const)
    for (const length of [1, 5, 1 << 20])
      t.not(faultOf(sentencepieceModel(map), [length]), undefined, `${what}, by ${length}`)
})

t.test(
  'a tar whose first name begins as a model does is refused, however its sum is written',
  async (t) => {
    for (const [what, sum] of [
      ['octal', (n: number) => latin1(`${n.toString(8).padStart(6, '0')}\0 `)],
      ['octal with spaces', (n: number) => latin1(` ${n.toString(8)}  `.slice(0, 8))],
      ['octal as Python has it', (n: number) => latin1(`0o${n.toString(8)}\0`.slice(0, 8))],
      ['binary', (n: number) => latin1(`\x80\0\0\0\0\0${String.fromCharCode(n >> 8, n & 255)}`)],
    ] as const)
      for (const length of [1, 511, 2048])
        t.equal(faultOf(tarOfModel(sum), [length]), 0, `${what}, by ${length}`)
    t.equal(
      faultOf(tarOfModel(() => latin1('777777\0 '))),
      undefined,
      'with another sum it is none',
    )
  },
)

t.test('the specs are whole messages', async (t) => {
  const spec = (bytes: string) => Buffer.concat([piece('a'), field(0x12, latin1(bytes))])
  const good = [
    '\x18\x02',
    '\x0a\0',
    '\xc2\x0c\x01a',
    '\x55\0\0\0\0',
    '\x51\0\0\0\0\0\0\0\0',
    '\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01',
  ]
  for (const bytes of good) t.equal(faultOf(spec(bytes)), undefined, JSON.stringify(bytes))
  for (const bytes of [
    'a',
    '\x18',
    '\x0a\x05a',
    '\x0b\x0c',
    '\x02\0',
    '\x15\0\0\0',
    '\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01',
  ])
    for (const length of [1, 100])
      t.not(faultOf(spec(bytes), [length]), undefined, JSON.stringify(bytes))
})

t.test('no bytes make it fail in another way', async () => {
  const byte = fc.oneof(fc.constantFrom(0x0a, 0x12, 0x15, 0x18, 0, 1, 2, 3, 5, 0x80), fc.nat(255))
  fc.assert(
    fc.property(fc.array(byte), fc.integer({ min: 1, max: 4 }), (bytes, length) => {
      const file = Buffer.from([0x0a, ...bytes])
      return faultOf(file) === faultOf(file, [length])
    }),
    { seed: 11, numRuns: 5000 },
  )
})
