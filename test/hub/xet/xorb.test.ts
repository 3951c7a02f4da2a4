import fc from 'fast-check'
import t from 'tap'
import { chunkAt, rawBytesOf } from '../../../src/hub/xet/xorb-index.ts'
import { LARGEST_XORB_BYTES, createXorbReader } from '../../../src/hub/xet/xorb.ts'
import { indexOf, refusal, uploadOf } from './fixtures.ts'

const RUNS = { seed: 20_261_123, numRuns: 1000 }
const KIB = 1024
const [XORB = new Uint8Array()] = uploadOf('hf_xet-1.8.0').xorbs.values()

interface Header {
  readonly version?: number
  readonly dataBytes: number
  readonly scheme?: number
  readonly rawBytes: number
}

const header = ({ version = 0, dataBytes, scheme = 1, rawBytes }: Header) =>
  Buffer.of(version, ...u24(dataBytes), scheme, ...u24(rawBytes))

const u24 = (n: number) => [n & 255, (n >> 8) & 255, n >> 16]

const chunk = (dataBytes: number, rawBytes = dataBytes, scheme = rawBytes === dataBytes ? 0 : 1) =>
  Buffer.concat([header({ dataBytes, scheme, rawBytes }), Buffer.alloc(dataBytes, 65)])

const reasonOf = (xorb: Uint8Array, limits = {}) => refusal(() => indexOf(xorb, limits))

t.test('however a xorb comes, its index is the same', async () => {
  const whole = indexOf(XORB)
  for (const pieceBytes of [1, 7, 8, 9, 1000, 65_536]) t.same(indexOf(XORB, {}, pieceBytes), whole)
})

t.test('an index tells what a run of chunks takes, and which chunks there are', async (t) => {
  const index = indexOf(Buffer.concat([chunk(5), chunk(10, 300), chunk(20)]))
  t.equal(index.chunkCount, 3)
  t.equal(index.rawBytes, 325)
  t.equal(rawBytesOf(index, 0, 3), 325)
  t.equal(rawBytesOf(index, 1, 2), 300)
  t.same(chunkAt(index, 1), { scheme: 'lz4', begin: 21, end: 31, rawBytes: 300 })
  for (const [begin, end] of [
    [0, 4],
    [3, 4],
    [2, 2],
    [2, 1],
    [-1, 1],
    [0, 4_294_967_295],
  ] as const)
    t.equal(await refusal(() => rawBytesOf(index, begin, end)), 'chunk_range_invalid')
  for (const chunk of [3, -1, 0.5])
    t.equal(await refusal(() => chunkAt(index, chunk)), 'chunk_range_invalid')
})

t.test('a chunk of another version, scheme or length than there are is refused', async (t) => {
  const wrong: readonly Header[] = [
    { version: 1, dataBytes: 4, rawBytes: 8 },
    { scheme: 3, dataBytes: 4, rawBytes: 8 },
    { scheme: 255, dataBytes: 4, rawBytes: 8 },
    { dataBytes: 4, rawBytes: 128 * KIB + 1 },
    { dataBytes: 256 * KIB + 1, rawBytes: 128 * KIB },
    { dataBytes: 0, rawBytes: 8 },
    { dataBytes: 4, rawBytes: 0 },
    { scheme: 0, dataBytes: 4, rawBytes: 5 },
  ]
  for (const fields of wrong)
    t.equal(await reasonOf(header(fields)), 'chunk_header_invalid', JSON.stringify(fields))
  t.equal(indexOf(chunk(100, 128 * KIB)).rawBytes, 128 * KIB)
})

t.test(
  'a xorb that would unpack to more than it may is refused at the header that says so',
  async (t) => {
    const bomb = Buffer.concat(Array.from({ length: 513 }, () => chunk(4, 128 * KIB)))
    t.equal(await reasonOf(bomb), 'xorb_too_large')
    t.equal(indexOf(bomb.subarray(0, -12)).rawBytes, 64 * KIB * KIB)
    t.equal(
      await reasonOf(bomb.subarray(0, -12), { maxRawBytes: 64 * KIB * KIB - 1 }),
      'xorb_too_large',
    )
  },
)

t.test('a xorb of more chunks or bytes than it may have is refused', async (t) => {
  const many = Buffer.concat(Array.from({ length: 8193 }, () => chunk(1)))
  t.equal(await reasonOf(many), 'xorb_too_many_chunks')
  t.equal(indexOf(many.subarray(0, -9)).chunkCount, 8192)
  t.equal(await reasonOf(chunk(92), { maxBytes: 99 }), 'xorb_too_large')
  t.equal(await reasonOf(chunk(92), { maxBytes: 100 }), undefined)

  const reader = createXorbReader()
  const piece = chunk(64 * KIB - 8)
  const pieces = Math.floor(LARGEST_XORB_BYTES / piece.length)
  t.equal(
    await refusal(() => {
      for (let i = 0; i <= pieces; i += 1) reader.write(piece)
    }),
    'xorb_too_large',
  )
})

t.test('a xorb that is cut off, or empty, is refused', async (t) => {
  const xorb = Buffer.concat([chunk(5), chunk(10)])
  for (let length = 0; length < xorb.length; length += 1) {
    const expected = length === 13 ? undefined : 'xorb_truncated'
    t.equal(await reasonOf(xorb.subarray(0, length)), expected, `${length} bytes`)
  }
})

interface FooterOptions {
  readonly counts?: readonly number[]
  readonly ends?: readonly number[]
  readonly rawEnds?: readonly number[]
  readonly bytes?: number
}

/** The footer of two chunks, of 5 bytes and of 10 that unpack to 300, unless told otherwise. */
function footer({
  counts = [2, 2, 2],
  ends = [13, 31],
  rawEnds = [5, 305],
  bytes = 172,
}: FooterOptions = {}) {
  const [first = 0, second = 0, third = 0] = counts
  return Buffer.concat([
    Buffer.from('XETBLOB\x01'),
    Buffer.alloc(32, 1),
    Buffer.from('XBLBHSH\0'),
    u32s(first),
    Buffer.alloc(64, 2),
    Buffer.from('XBLBBND\x01'),
    u32s(second, ...ends, ...rawEnds, third, 132, 56),
    Buffer.alloc(16),
    u32s(bytes),
  ])
}

function u32s(...words: number[]): Buffer {
  const bytes = Buffer.alloc(words.length * 4)
  words.forEach((word, i) => bytes.writeUInt32LE(word, i * 4))
  return bytes
}

t.test('a footer that fits the chunks is passed over', async (t) => {
  const chunks = Buffer.concat([chunk(5), chunk(10, 300)])
  const xorb = Buffer.concat([chunks, footer()])
  for (const pieceBytes of [Infinity, 1, 50]) t.same(indexOf(xorb, {}, pieceBytes), indexOf(chunks))
})

t.test('a footer that says something else than the chunks is refused', async (t) => {
  const chunks = Buffer.concat([chunk(5), chunk(10, 300)])
  const wrong: readonly FooterOptions[] = [
    { counts: [1, 2, 2] },
    { counts: [2, 3, 2] },
    { counts: [2, 2, 4_294_967_295] },
    { ends: [13, 30] },
    { rawEnds: [5, 4_294_967_295] },
    { bytes: 171 },
  ]
  for (const options of wrong)
    t.equal(await reasonOf(Buffer.concat([chunks, footer(options)])), 'xorb_footer_invalid')
  t.equal(await reasonOf(Buffer.concat([chunks, footer(), Buffer.of(0)])), 'xorb_footer_invalid')
  t.equal(await reasonOf(Buffer.concat([chunks, footer().subarray(0, -1)])), 'xorb_truncated')
  t.equal(await reasonOf(footer()), 'xorb_footer_invalid')
})

t.test(
  'any bytes at all give an index or one of the declared reasons, however they come',
  async () => {
    const sound = fc.record({
      dataBytes: fc.integer({ min: 1, max: 40 }),
      rawBytes: fc.integer({ min: 1, max: 140_000 }),
      scheme: fc.nat(3),
    })
    const chunks = sound.map(({ dataBytes, rawBytes, scheme }) =>
      chunk(dataBytes, rawBytes, scheme),
    )
    const part = fc.oneof(
      { weight: 6, arbitrary: chunks },
      fc.uint8Array({ maxLength: 60 }),
      fc.constant(footer()),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(part, { maxLength: 12 }),
        fc.integer({ min: 1, max: 30 }),
        async (parts, pieceBytes) => {
          const xorb = Buffer.concat(parts)
          return (await reasonOf(xorb)) === (await refusal(() => indexOf(xorb, {}, pieceBytes)))
        },
      ),
      RUNS,
    )
  },
)
