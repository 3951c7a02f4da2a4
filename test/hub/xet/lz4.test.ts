import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { decodeBlock } from '../../../src/hub/xet/lz4-block.ts'
import { decodeFrame } from '../../../src/hub/xet/lz4.ts'
import { xxHash32 } from '../../../src/hub/xet/xxhash32.ts'
import { fixture, refusal } from './fixtures.ts'

const RUNS = { seed: 20_261_123, numRuns: 1500 }
const SENTENCE = 'The quick brown fox jumps over the lazy dog. '
const TEXT = Buffer.from(SENTENCE.repeat(8000).slice(0, 300_001))

const frameOf = (name: string) => fixture(`lz4/${name}.lz4`)

function unpack(frame: Uint8Array, limit: number): Buffer {
  const into = Buffer.alloc(limit)
  return into.subarray(0, decodeFrame(frame, into))
}

/** A frame without checksums but the header's, with blocks up to 64 KiB, of these blocks as they are on the wire. */
function frame(
  blocks: readonly Uint8Array[],
  { flags = 0x60, descriptor = 0x40, isRaw = false } = {},
) {
  const parts: Uint8Array[] = [Uint8Array.of(0x04, 0x22, 0x4d, 0x18, flags, descriptor)]
  parts.push(Uint8Array.of((xxHash32(Uint8Array.of(flags, descriptor)) >>> 8) & 0xff))
  for (const block of blocks) parts.push(u32(block.length + (isRaw ? 0x8000_0000 : 0)), block)
  return Buffer.concat([...parts, u32(0)])
}

function u32(n: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(n)
  return bytes
}

t.test('checksums are xxHash32, above and below its stripes of 16 bytes', async (t) => {
  t.equal(xxHash32(new Uint8Array()), 0x02cc5d05)
  t.equal(xxHash32(Buffer.from('a')), 0x550d7456)
  t.equal(xxHash32(Buffer.from('abc')), 0x32d153ff)
  t.equal(xxHash32(Buffer.from('Nobody inspects the spammish repetition')), 0xe2293b2f)
})

for (const name of ['independent', 'linked-all-checksums', 'high-compression'])
  t.test(`a frame of another writer unpacks: ${name}`, async (t) => {
    t.ok(unpack(frameOf(name), TEXT.length).equals(TEXT))
    t.equal(await refusal(() => unpack(frameOf(name), TEXT.length - 1)), 'lz4_too_long')
  })

t.test('a frame may hold bytes as they are, or none', async (t) => {
  t.equal(unpack(frameOf('not-compressible'), 4096).length, 1500)
  t.equal(unpack(frameOf('empty'), 0).length, 0)
})

t.test('a frame that is cut off is refused wherever the cut is', async (t) => {
  const whole = frameOf('linked-all-checksums')
  for (let length = 0; length < whole.length; length += 1) {
    const reason = await refusal(() => unpack(whole.subarray(0, length), TEXT.length))
    if (!['lz4_truncated', 'lz4_not_a_frame'].includes(reason ?? ''))
      t.fail(`${length}: ${reason ?? 'taken'}`)
  }
})

t.test('with its checksums, a frame shows every wrong bit', async (t) => {
  const whole = frameOf('not-compressible')
  for (let at = 0; at < whole.length; at += 1)
    for (const bit of [1, 0x80]) {
      const frame = Uint8Array.from(whole)
      frame[at] = (frame[at] ?? 0) ^ bit
      if ((await refusal(() => unpack(frame, 4096))) === undefined) t.fail(`byte ${at}, bit ${bit}`)
    }
})

const literals = (text: string) => Buffer.from([text.length << 4, ...Buffer.from(text)])

t.test('frames that no writer makes are refused', async (t) => {
  const sound = frame([literals('abc')])
  const cases: Record<string, readonly [string, Uint8Array]> = {
    'not a frame': ['lz4_not_a_frame', Buffer.from('PK\x03\x04 and more')],
    'bytes behind it': ['lz4_invalid', Buffer.concat([sound, Buffer.of(0)])],
    'a second frame': ['lz4_invalid', Buffer.concat([sound, sound])],
    'a dictionary': ['lz4_invalid', frame([], { flags: 0x61 })],
    'version 2': ['lz4_invalid', frame([], { flags: 0xa0 })],
    'a reserved bit': ['lz4_invalid', frame([], { flags: 0x62 })],
    'blocks of 16 KiB': ['lz4_invalid', frame([], { descriptor: 0x30 })],
    'blocks of unknown size': ['lz4_invalid', frame([], { descriptor: 0xc0 })],
    'a block above its own limit': [
      'lz4_invalid',
      frame([new Uint8Array(65_537)], { isRaw: true }),
    ],
    'a match before the start': ['lz4_invalid', frame([Buffer.of(0x10, 65, 2, 0, 0)])],
    'a match no way back': ['lz4_invalid', frame([Buffer.of(0x10, 65, 0, 0, 0)])],
    'a match before its block': ['lz4_invalid', frame([literals('abcd'), Buffer.of(0, 4, 0, 0)])],
    'a block that ends with a match': ['lz4_truncated', frame([Buffer.of(0x10, 65, 1, 0)])],
    'literals beyond the block': ['lz4_truncated', frame([Buffer.of(0x50, 65)])],
    'a length that never ends': ['lz4_truncated', frame([Buffer.alloc(900, 255)])],
    'half of a distance': ['lz4_truncated', frame([Buffer.of(0x10, 65, 1)])],
  }
  for (const [name, [reason, bytes]] of Object.entries(cases))
    t.equal(await refusal(() => unpack(bytes, 1_000_000)), reason, name)
  t.equal(unpack(sound, 3).toString(), 'abc')
})

t.test('linked blocks refer to those before, independent ones do not', async (t) => {
  const blocks = [literals('abcd'), Buffer.of(0, 4, 0, 0x10, 65)]
  t.equal(unpack(frame(blocks, { flags: 0x40 }), 99).toString(), 'abcdabcdA')
  t.equal(await refusal(() => unpack(frame(blocks), 99)), 'lz4_invalid')
})

t.test('a block that unpacks to gigabytes takes no more than it was given', async (t) => {
  const bomb = Buffer.concat([
    Buffer.of(0x1f, 65, 1, 0),
    Buffer.alloc(60_000, 255),
    Buffer.of(0, 0),
  ])
  t.equal(await refusal(() => unpack(frame([bomb]), 131_072)), 'lz4_too_long')
})

t.test(
  'a frame that says it holds more than it may is refused before anything is unpacked',
  async (t) => {
    const into = Buffer.alloc(100, 7)
    t.equal(await refusal(() => decodeFrame(frameOf('linked-all-checksums'), into)), 'lz4_too_long')
    t.ok(into.every((byte) => byte === 7))
  },
)

t.test('a frame that holds more or less than it says, or than it may, is refused', async (t) => {
  const sound = frameOf('not-compressible')
  for (const [bytes, reason] of [
    [1499, 'lz4_invalid'],
    [1500, undefined],
    [1501, 'lz4_invalid'],
  ] as const) {
    const frame = Buffer.from(sound)
    frame.writeUInt32LE(bytes, 6)
    frame[14] = (xxHash32(frame.subarray(4, 14)) >>> 8) & 0xff
    t.equal(await refusal(() => unpack(frame, 4096)), reason)
  }
  t.equal(
    await refusal(() => unpack(frame([TEXT.subarray(0, 100)], { isRaw: true }), 99)),
    'lz4_too_long',
  )
})

t.test('any bytes at all give a frame or one of the declared reasons', async () => {
  const body = fc.uint8Array({ maxLength: 300 })
  const flags = fc.constantFrom(0x40, 0x60, 0x50, 0x44, 0x74)
  await fc.assert(
    fc.asyncProperty(
      fc.array(body, { maxLength: 4 }),
      flags,
      fc.boolean(),
      async (blocks, flags, isRaw) => {
        await refusal(() => unpack(frame(blocks, { flags, isRaw }), 500))
        await refusal(() => unpack(Buffer.concat(blocks), 2000))
      },
    ),
    RUNS,
  )
})

t.test('a block never writes outside of its place', async () => {
  const literal = randomBytes(40)
  const piece = fc.oneof(fc.uint8Array({ maxLength: 8 }), fc.constant(literal))
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 40 }), fc.nat(64), async (pieces, room) => {
      const memory = new Uint8Array(200).fill(7)
      const into = memory.subarray(50, 50 + room)
      const at = Math.min(10, room)
      const block = Buffer.concat(pieces)
      await refusal(() => decodeBlock(block, { into, at, windowBegin: 0 }))
      const outside = [...memory.subarray(0, 50 + at), ...memory.subarray(50 + room)]
      return outside.every((byte) => byte === 7)
    }),
    RUNS,
  )
})

t.test('what is written in sequences unpacks to what they say', async () => {
  const sequence = fc.record({
    literals: fc.uint8Array({ minLength: 1, maxLength: 400 }),
    back: fc.integer({ min: 1, max: 400 }),
    length: fc.integer({ min: 4, max: 700 }),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(sequence, { maxLength: 6 }),
      fc.uint8Array({ maxLength: 30 }),
      async (all, last) => {
        const [block, expected] = written(all, last)
        return unpack(frame([block], { descriptor: 0x70 }), expected.length).equals(expected)
      },
    ),
    RUNS,
  )
})

interface Sequence {
  readonly literals: Uint8Array
  readonly back: number
  readonly length: number
}

/** A block of these sequences, and, the slow way, what it holds. */
function written(sequences: readonly Sequence[], last: Uint8Array): readonly [Buffer, Buffer] {
  const block: number[] = []
  const bytes: number[] = []
  for (const { literals, back, length } of sequences) {
    const near = Math.min(back, bytes.length + literals.length)
    block.push((Math.min(literals.length, 15) << 4) | Math.min(length - 4, 15))
    block.push(...more(literals.length), ...literals, near & 255, near >> 8, ...more(length - 4))
    bytes.push(...literals)
    for (let i = 0; i < length; i += 1) bytes.push(bytes[bytes.length - near] ?? 0)
  }
  block.push(Math.min(last.length, 15) << 4, ...more(last.length), ...last)
  return [Buffer.from(block), Buffer.from([...bytes, ...last])]
}

function more(length: number): number[] {
  if (length < 15) return []
  const rest = length - 15
  return [...Array.from({ length: Math.floor(rest / 255) }, () => 255), rest % 255]
}
