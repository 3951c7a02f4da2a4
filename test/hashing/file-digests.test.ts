import t from 'tap'
import { createFileDigests } from '../../src/hashing/file-digests.ts'
import { createSlots, SLOT_BYTES } from '../../src/hashing/slots.ts'
import { validate } from '../../src/safetensors/stream.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { bytesOf, sha256, startPool } from './fixture.ts'
import { naiveStatistics } from './naive-statistics.ts'

const U8 = (name: string, length: number) => ({
  name,
  dtype: 'U8',
  shape: [length],
  bytes: bytesOf(name, length),
})

t.test(
  'a file that streams by in slots gets the SHA-256 of the whole, of each leaf and of each tensor, and statistics',
  async (t) => {
    const bf16 = { ...U8('bf16', 2 * 700_001), dtype: 'BF16', shape: [700_001] }
    const tensors = [
      ...[U8('a', 11), U8('empty', 0), bf16],
      ...[U8('large', 2 * SLOT_BYTES), U8('z', 700_000)],
    ]
    const file = Buffer.from(writeSafetensors(tensors))
    for (const workers of [1, 3]) {
      const pool = startPool(t, workers)
      const slots = createSlots(6 * SLOT_BYTES, pool.share)
      const digests = createFileDigests(pool)
      digests.expectTensors(validate(file).columns)
      const leaves: Buffer[] = []
      const added: Promise<void>[] = []
      for (let at = 0; at < file.length; at += SLOT_BYTES) {
        const slot = await slots.take()
        const part = file.subarray(at, at + SLOT_BYTES)
        slot.bytes.set(part)
        leaves.push(sha256(part))
        added.push(digests.add(slot, at, part.length))
      }
      await Promise.all(added)
      const done = await digests.finish()
      digests.end()
      t.equal(done.sha256, sha256(file).toString('hex'))
      t.same(Buffer.from(done.leaves), Buffer.concat(leaves))
      t.same(
        Buffer.from(done.tensors ?? []),
        Buffer.concat(tensors.map(({ bytes }) => sha256(bytes))),
      )
      const none = Array<number>(9).fill(NaN)
      t.same(
        Array.from(done.statistics ?? []),
        tensors.flatMap(({ dtype, bytes }) =>
          dtype === 'BF16' ? naiveStatistics(dtype, bytes) : none,
        ),
      )
    }
  },
)

t.test('without a header there are no tensors, and without bytes no leaves', async (t) => {
  const digests = createFileDigests(startPool(t, 2))
  const { sha256: whole, leaves, tensors, statistics } = await digests.finish()
  digests.end()
  t.equal(whole, sha256(Buffer.alloc(0)).toString('hex'))
  t.equal(leaves.length, 0)
  t.equal(tensors, undefined)
  t.equal(statistics, undefined)
})

t.test('a file without a floating tensor is not measured', async (t) => {
  const digests = createFileDigests(startPool(t, 1))
  digests.expectTensors(validate(writeSafetensors([U8('a', 10)])).columns)
  t.equal((await digests.finish()).statistics, undefined)
  digests.end()
})

t.test('more leaves than were foreseen keep their places', async (t) => {
  const pool = startPool(t, 2)
  const slot = await createSlots(SLOT_BYTES, pool.share).take()
  const digests = createFileDigests(pool)
  for (let i = 0; i < 150; i++) {
    slot.bytes[0] = i
    await digests.add(slot, i * SLOT_BYTES, 1)
  }
  const { leaves } = await digests.finish()
  digests.end()
  const expected = Array.from({ length: 150 }, (_, i) => sha256(Buffer.of(i)))
  t.same(Buffer.from(leaves), Buffer.concat(expected))
})

t.test(
  'an upload that breaks off before its tensors were opened leaves nothing with the worker',
  async (t) => {
    const pool = startPool(t, 1)
    const slot = await createSlots(SLOT_BYTES, pool.share).take()
    const from = { segment: slot.segment, offset: slot.offset, length: SLOT_BYTES }
    const busy = Array.from({ length: 8 }, () => pool.run('demand', { kind: 'hash_leaf', from }))
    const digests = createFileDigests(pool)
    const float = { ...U8('f', 8), dtype: 'F64', shape: [1] }
    digests.expectTensors(validate(writeSafetensors([U8('a', 10), float])).columns)
    digests.end()
    await Promise.all(busy)
    // Sessions are numbered: the one that was given up is known no more.
    await pool.run('background', { kind: 'hash_leaf', from })
    const late = { kind: 'tensors_update' as const, session: 1, from, position: 0 }
    await t.rejects(pool.run('background', late), { message: /unknown session/ })
    const measure = { kind: 'statistics_update' as const, session: 2, from, position: 0 }
    await t.rejects(pool.run('background', measure), { message: /unknown session/ })
  },
)
