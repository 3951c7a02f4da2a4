import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { SLOT_BYTES } from '../../src/hashing/slots.ts'
import { validate } from '../../src/safetensors/stream.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { bytesOf, countFreeSlots, sha256 } from '../hashing/fixture.ts'
import { cut, fileOfSize, stagedIn, startAdmission, u8 } from './fixture.ts'

const MIB = SLOT_BYTES
const FILE = { path: 'model.safetensors', kind: 'safetensors', announcedBytes: undefined } as const
const INDEX = {
  path: 'm.safetensors.index.json',
  kind: 'index',
  announcedBytes: undefined,
} as const

const leavesOf = (file: Buffer): Buffer[] =>
  Array.from({ length: Math.ceil(file.length / MIB) }, (_, i) =>
    sha256(file.subarray(i * MIB, (i + 1) * MIB)),
  )

const SIZES: readonly (readonly [string, Buffer, number])[] = [
  ['without tensors, byte by byte', Buffer.from(writeSafetensors([], { a: 'b' })), 1],
  ['of a tensor without bytes', Buffer.from(writeSafetensors([u8('w', new Uint8Array(0))])), 3],
  ['of 3000 bytes, byte by byte', fileOfSize(3000), 1],
  ['of 1 MiB less one', fileOfSize(MIB - 1), 65_536],
  ['of 1 MiB', fileOfSize(MIB), MIB],
  ['of 1 MiB and one', fileOfSize(MIB + 1), 1009],
  ['of 8 MiB in chunks larger than a slot', fileOfSize(8 * MIB), 3 * MIB],
  ['of 9 MiB and some', fileOfSize(9 * MIB + 17), 1_000_003],
]
t.test('a file is stored as it came, with the right digests', async (t) => {
  const { admit, slots, root } = await startAdmission(t)
  for (const [what, file, chunkBytes] of SIZES) {
    const admitted = await admit(cut(file, chunkBytes), { ...FILE, announcedBytes: file.length })
    const { staged, digests, header, sizeBytes } = admitted
    t.equal(sizeBytes, file.length, `a file ${what}`)
    t.equal(digests.sha256, sha256(file).toString('hex'))
    t.same(Buffer.from(digests.leaves), Buffer.concat(leavesOf(file)))
    const { begins, ends } = validate(file).columns
    const tensors = Array.from(begins, (begin, i) => sha256(file.subarray(begin, ends[i])))
    t.same(Buffer.from(digests.tensors ?? []), Buffer.concat(tensors))
    t.equal(header?.fileBytes, file.length)
    t.ok(readFileSync(join(root, 'staging', staged.id)).equals(file))
    t.equal(countFreeSlots(slots), 16)
  }
})

t.test('more uploads at once than there are slots for all come through', async (t) => {
  const { admit, slots, root } = await startAdmission(t)
  const files = Array.from({ length: 10 }, (_, i) => fileOfSize(3 * MIB + i, `file ${i}`))
  const admitted = await Promise.all(files.map((file, i) => admit(cut(file, 50_000 + i), FILE)))
  admitted.forEach(({ digests }, i) => {
    t.equal(digests.sha256, sha256(files[i] ?? Buffer.alloc(0)).toString('hex'))
  })
  t.equal(countFreeSlots(slots), 16)
  t.equal((await stagedIn(root)).length, 10)
})

async function* breaksOff(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield* cut(bytes, 100_000)
  throw new Error('the sender hung up')
}

const good = fileOfSize(2 * MIB + 5)
const REFUSED: readonly (readonly [
  string,
  () => AsyncIterable<Uint8Array>,
  { code: string } | { message: string },
])[] = [
  ['is a pickle', () => cut(Buffer.from('\x80\x02}q\x00.'), 2), { code: 'INVALID_SAFETENSORS' }],
  ['is empty', () => cut(Buffer.alloc(0), 1), { code: 'INVALID_SAFETENSORS' }],
  ['ends early', () => cut(good.subarray(0, -1), 70_000), { code: 'INVALID_SAFETENSORS' }],
  [
    'has a byte too many',
    () => cut(Buffer.concat([good, Buffer.of(0)]), 70_000),
    { code: 'INVALID_SAFETENSORS' },
  ],
  ['is too large', () => cut(fileOfSize(4 * MIB), 70_000), { code: 'TOO_LARGE' }],
  ['breaks off', () => breaksOff(good.subarray(0, MIB + 9)), { message: 'the sender hung up' }],
]
for (const [what, body, error] of REFUSED) {
  t.test(`a file that ${what} leaves nothing behind, however often it comes`, async (t) => {
    const { admit, slots, root } = await startAdmission(t, { maxFileBytes: 3 * MIB })
    for (let i = 0; i < 3; i++) {
      const refused = Array.from({ length: 5 }, () => t.rejects(admit(body(), FILE), error))
      await Promise.all(refused)
    }
    t.same(await stagedIn(root), [])
    t.equal(countFreeSlots(slots), 16)
    const after = await admit(cut(good, 100_000), FILE)
    t.equal(after.sizeBytes, good.length)
  })
}

t.test(
  'a size that is announced and too large, or not what the header says, is refused at once',
  async (t) => {
    const { admit } = await startAdmission(t, { maxFileBytes: 3 * MIB })
    let taken = 0
    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const chunk of cut(good, 1000)) {
        taken += chunk.length
        yield chunk
      }
    }
    await t.rejects(admit(counted(), { ...FILE, announcedBytes: 3 * MIB + 1 }), {
      code: 'TOO_LARGE',
    })
    t.equal(taken, 0)
    await t.rejects(admit(counted(), { ...FILE, announcedBytes: good.length - 1 }), {
      code: 'INVALID_SAFETENSORS',
    })
    t.equal(taken, 1000)
  },
)

t.test('an index is kept as text, in bounds', async (t) => {
  const { admit, root } = await startAdmission(t)
  const text = Buffer.from(JSON.stringify({ weight_map: { a: 'x'.repeat(200_000) } }))
  const { indexText, header, digests, release } = await admit(cut(text, 7), INDEX)
  t.ok(text.equals(indexText ?? Buffer.alloc(0)))
  t.equal(header, undefined)
  t.equal(digests.sha256, sha256(text).toString('hex'))
  release()
  await t.rejects(admit(cut(Buffer.alloc(MIB + 1), 50_000), INDEX), { code: 'TOO_LARGE' })
  t.equal((await stagedIn(root)).length, 1)
})

t.test(
  'large headers and indexes share a bounded memory: beyond it callers are told to come again',
  async (t) => {
    const { admit, root } = await startAdmission(t)
    const large = Buffer.from(writeSafetensors([], { note: 'x'.repeat(3 * MIB) }))
    const first = await admit(cut(large, 100_000), FILE)
    await t.rejects(admit(cut(large, 100_000), FILE), { code: 'TOO_MANY_REQUESTS' })
    const small = await admit(cut(good, 100_000), FILE)
    t.ok(small.header, 'a small header is none of that')
    const text = Buffer.alloc(700_000, ' ')
    const index = await admit(cut(text, 100_000), INDEX)
    await t.rejects(admit(cut(text, 100_000), INDEX), { code: 'TOO_MANY_REQUESTS' })
    first.release()
    first.release()
    index.release()
    t.ok(await admit(cut(large, 100_000), FILE))
    await t.rejects(admit(cut(large, 100_000), FILE), { code: 'TOO_MANY_REQUESTS' })
    t.equal((await stagedIn(root)).length, 4)
  },
)

/** So many tensors of one byte, named in the order opposite to their bytes. */
function backwards(count: number, overlapping: boolean): Buffer {
  const entries = Array.from({ length: count }, (_, i) => {
    const begin = overlapping && i === 5 ? count - 5 : count - 1 - i
    return `"t${i}":{"dtype":"U8","shape":[1],"data_offsets":[${begin},${begin + 1}]}`
  })
  const header = Buffer.from(`{${entries.join(',')}}`)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  return Buffer.concat([length, header, bytesOf('data', count)])
}

t.test(
  'a large header out of order is judged by a worker, and its tensors are hashed all the same',
  async (t) => {
    const { admit, root } = await startAdmission(t)
    const file = backwards(20_001, false)
    const { digests } = await admit(cut(file, 65_536), FILE)
    const last = sha256(file.subarray(-1))
    t.same(Buffer.from(digests.tensors?.subarray(0, 32) ?? []), last)
    await t.rejects(admit(cut(backwards(20_001, true), 65_536), FILE), {
      code: 'INVALID_SAFETENSORS',
      facts: { reason: 'gap', path: 'model.safetensors' },
    })
    t.equal((await stagedIn(root)).length, 1)
  },
)

t.test(
  'a disk that takes no more is an error of this upload alone, and nothing stays',
  async (t) => {
    const folder = t.testdir()
    // `ulimit -f` counts in half KiB: a file may have 1 MiB and a half.
    // Without what the test runner has Node load: that dies of the signal, which Node by itself ignores.
    const child = spawnSync(
      'sh',
      [
        '-c',
        'unset NODE_OPTIONS; ulimit -f 3072; exec "$0" "$@"',
        process.execPath,
        join(import.meta.dirname, 'fill-vault.ts'),
        folder,
      ],
      // Without what a test runner would have it load: that may die of the signal, which Node itself ignores.
      { encoding: 'utf8', env: { PATH: process.env['PATH'] } },
    )
    t.equal(child.status, 0, child.stderr)
    t.same(JSON.parse(child.stdout), {
      large: ['EFBIG', 'EFBIG', 'EFBIG'],
      small: MIB,
      staged: 1,
      freeSlots: 16,
    })
  },
)
