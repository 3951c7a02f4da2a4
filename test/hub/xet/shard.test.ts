import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { parseShard, type ShardLimits } from '../../../src/hub/xet/shard.ts'
import { filesOf, refusal, uploadOf } from './fixtures.ts'

const RUNS = { seed: 20_261_123, numRuns: 1000 }
const VERIFIED = 0x8000_0000
const HAS_SHA = 0x4000_0000
const [HF = new Uint8Array()] = uploadOf('hf_xet-1.8.0').shards
const [JS = new Uint8Array()] = uploadOf('huggingface-hub-js').shards
const MAGIC = HF.subarray(0, 32)
const BOOKEND = entry(Buffer.alloc(32, 255))

function entry(hash: Uint8Array, ...words: number[]): Buffer {
  const bytes = Buffer.alloc(48)
  bytes.set(hash)
  words.forEach((word, i) => bytes.writeUInt32LE(word, 32 + i * 4))
  return bytes
}

const hashOf = (byte: number) => Buffer.alloc(32, byte)
const shardHeader = (version = 2, footerBytes = 0) => entry(MAGIC, version, 0, footerBytes, 0)
const term = (bytes: number, begin: number, end: number) => entry(hashOf(9), 0, bytes, begin, end)
const file = (flags: number, count: number, ...entries: Uint8Array[]) =>
  Buffer.concat([entry(hashOf(1), flags, count), ...entries])
const shard = (...entries: Uint8Array[]) => Buffer.concat([shardHeader(), ...entries])

const reasonOf = (shard: Uint8Array, limits: ShardLimits = {}) =>
  refusal(() => parseShard(shard, limits))

t.test('a shard of the Python client gives its files, their terms and their SHA-256', async (t) => {
  const files = await parseShard(HF)
  t.equal(files.length, 7)
  const zeros = files.find(({ terms }) => terms.count > 1)
  t.match(zeros, {
    sha256: '946cc2661d32ad837bd22fb051ee47ed6012e33a6db1617870fec60691ed7f09',
    unpackedBytes: 400_000,
    terms: { count: 3 },
  })
  const { xorb, chunkBegin, chunkEnd, unpackedBytes } = zeros?.terms.at(2) ?? {}
  t.match(xorb, /^caafab507ed57b867c73c44def495627/)
  t.equal((chunkEnd ?? 0) - (chunkBegin ?? 0), 2)
  t.equal(unpackedBytes, 137_856)
  t.throws(() => zeros?.terms.at(3), RangeError)
})

t.test('files come with and without verification and SHA-256', async (t) => {
  const files = await parseShard(
    shard(
      file(0, 1, term(70, 0, 1)),
      file(VERIFIED, 2, term(70, 0, 1), term(80, 5, 9), hash(7), hash(8)),
      file(HAS_SHA, 1, term(70, 0, 1), hash(0xab)),
      file(HAS_SHA + VERIFIED, 0, hash(0xcd)),
      BOOKEND,
      entry(hashOf(9), 0, 2),
      term(0, 0, 0),
      term(0, 0, 0),
      BOOKEND,
    ),
  )
  const [none, verified, withSha, empty] = files
  t.equal(none?.sha256, undefined)
  t.same([verified?.terms.count, verified?.unpackedBytes], [2, 150])
  t.same(verified?.terms.at(1), {
    xorb: '09'.repeat(32),
    chunkBegin: 5,
    chunkEnd: 9,
    unpackedBytes: 80,
  })
  t.equal(withSha?.sha256, 'ab'.repeat(32))
  t.same([empty?.sha256, empty?.unpackedBytes], ['cd'.repeat(32), 0])
})

const hash = (byte: number) => entry(hashOf(byte))

t.test('what is no shard is refused', async (t) => {
  for (const bytes of [
    new Uint8Array(),
    MAGIC,
    Buffer.alloc(48),
    Buffer.concat([shardHeader(3), BOOKEND, BOOKEND]),
  ])
    t.equal(await reasonOf(bytes), 'shard_not_a_shard')
  const other = Uint8Array.from(HF)
  other[31] = 0
  t.equal(await reasonOf(other), 'shard_not_a_shard')
})

t.test('a shard that is cut off is refused wherever the cut is', async (t) => {
  for (let length = 48; length < HF.length; length += 1)
    if ((await reasonOf(HF.subarray(0, length))) !== 'shard_truncated') t.fail(`${length} bytes`)
  for (let length = 48; length < JS.length; length += 1)
    if ((await reasonOf(JS.subarray(0, length))) === undefined) t.fail(`${length} bytes`)
})

t.test('counts beyond the shard are refused before anything is made of them', async (t) => {
  const much = 0xffff_ffff
  const unlimited = { maxTerms: Infinity }
  t.equal(await reasonOf(shard(file(0, much), BOOKEND, BOOKEND), unlimited), 'shard_truncated')
  t.equal(await reasonOf(shard(file(VERIFIED, 1, term(7, 0, 1)), BOOKEND)), 'shard_truncated')
  t.equal(await reasonOf(shard(BOOKEND, entry(hashOf(9), 0, much), BOOKEND)), 'shard_truncated')
  t.equal(await reasonOf(shard(file(0, much), BOOKEND, BOOKEND)), 'shard_too_large')
})

t.test('files and terms are counted against their limits', async (t) => {
  const one = file(0, 2, term(7, 0, 1), term(7, 0, 1))
  const two = shard(one, one, BOOKEND, BOOKEND)
  t.equal(await reasonOf(two, { maxFiles: 1 }), 'shard_too_large')
  t.equal(await reasonOf(two, { maxTerms: 3 }), 'shard_too_large')
  t.equal(await reasonOf(two, { maxFiles: 2, maxTerms: 4 }), undefined)
})

t.test(
  'a term without chunks, or with more or fewer bytes than they can hold, is refused',
  async (t) => {
    const wrong = [
      term(7, 1, 1),
      term(0, 1, 1),
      term(7, 2, 1),
      term(0, 0, 1),
      term(3, 0, 4),
      term(131_073, 0, 1),
      term(7, 0xffff_ffff, 0),
    ]
    for (const term of wrong)
      t.equal(await reasonOf(shard(file(0, 1, term), BOOKEND, BOOKEND)), 'shard_term_invalid')
    t.equal(await reasonOf(shard(file(0, 1, term(131_072, 3, 4)), BOOKEND, BOOKEND)), undefined)
  },
)

t.test(
  'flags that nobody has defined are refused, since what follows them is unknown',
  async (t) => {
    t.equal(await reasonOf(shard(file(0x2000_0000, 0), BOOKEND, BOOKEND)), 'shard_file_invalid')
    t.equal(await reasonOf(shard(file(1, 0), BOOKEND, BOOKEND)), 'shard_file_invalid')
  },
)

t.test('a footer has to be announced, and to say where the sections are', async (t) => {
  const files = await filesOf(uploadOf('huggingface-hub-js'))
  t.equal(files.length, 7)
  t.equal(await reasonOf(Buffer.concat([HF, Buffer.alloc(1)])), 'shard_footer_invalid')
  t.equal(await reasonOf(Buffer.concat([JS, Buffer.alloc(48)])), 'shard_footer_invalid')
  t.equal(await reasonOf(JS.subarray(0, -200)), 'shard_footer_invalid')
  for (const at of [0, 8, 16, 192]) {
    const wrong = Uint8Array.from(JS)
    wrong[JS.length - 200 + at] = 0x77
    t.equal(await reasonOf(wrong), 'shard_footer_invalid', `at ${at}`)
  }
  const announced = Buffer.concat([shardHeader(2, 199), BOOKEND, BOOKEND, Buffer.alloc(200)])
  t.equal(await reasonOf(announced), 'shard_footer_invalid')
})

t.test('look-up tables may lie before a footer', async (t) => {
  const tables = Buffer.concat([JS.subarray(0, -200), Buffer.alloc(36), JS.subarray(-200)])
  tables.writeBigUInt64LE(BigInt(tables.length - 200), tables.length - 8)
  t.equal((await parseShard(tables)).length, 1)
})

t.test('a shard of very many terms, files or xorbs lets others have their turn', async (t) => {
  const terms = Buffer.concat(Array.from({ length: 60_000 }, () => term(7, 0, 1)))
  const long = {
    terms: shard(file(0, 60_000, terms), BOOKEND, BOOKEND),
    files: shard(
      ...Array.from({ length: 9000 }, () => file(HAS_SHA, 0, hash(2))),
      BOOKEND,
      BOOKEND,
    ),
    xorbs: shard(BOOKEND, ...Array.from({ length: 60_000 }, () => hash(1)), BOOKEND),
  }
  for (const [name, bytes] of Object.entries(long)) {
    const state = { isOver: false }
    const parsed = parseShard(bytes).finally(() => (state.isOver = true))
    let turns = 0
    for (; !state.isOver; turns += 1) await setImmediate()
    await parsed
    t.ok(turns > 2, `${name}: ${turns} turns`)
  }
})

t.test('any bytes at all give files or one of the declared reasons', async () => {
  const small = fc.oneof(
    fc.nat(4),
    fc.constantFrom(0xffff_ffff, VERIFIED, HAS_SHA, HAS_SHA + VERIFIED),
  )
  const byte = fc.constantFrom(1, 9, 255)
  const any = fc
    .tuple(byte, small, small, small, small)
    .map(([byte, ...words]) => entry(hashOf(byte), ...words))
  const part = fc.oneof(
    any,
    fc.constant(BOOKEND),
    fc.constant(term(7, 0, 1)),
    fc.uint8Array({ maxLength: 60 }),
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(part, { maxLength: 12 }),
      fc.constantFrom(0, 200),
      async (parts, footerBytes) => {
        await reasonOf(Buffer.concat([shardHeader(2, footerBytes), ...parts]))
      },
    ),
    RUNS,
  )
})

t.test('a shard with any one byte changed gives files or one of the declared reasons', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(HF, JS),
      fc.nat(3000),
      fc.nat(255),
      async (sound, at, byte) => {
        const shard = Uint8Array.from(sound)
        shard[at % shard.length] = byte
        await reasonOf(shard)
      },
    ),
    RUNS,
  )
})
