import fc from 'fast-check'
import { rmSync, truncateSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { LeafMismatch } from '../../src/hashing/verified-leaves.ts'
import { bytesOf, countFreeSlots, leafFile, sha256, startLeaves } from './fixture.ts'

t.test('one read serves all who wait for the same leaf', async (t) => {
  const { leaves } = startLeaves(t, 4)
  const file = leafFile(t, 1)
  const pins = await Promise.all(Array.from({ length: 20 }, () => leaves.pin(file.source(0))))
  for (const { bytes } of pins) t.equal(bytes.buffer, pins[0]?.bytes.buffer)
  t.ok(pins.every(({ bytes }) => file.leaf(0).equals(bytes)))
  t.equal(leaves.pinned(), 1)
  for (const { unpin } of pins) unpin()
  t.equal(leaves.pinned(), 0)
})

t.test(
  'what was verified is served though the file changed since: it never left memory',
  async (t) => {
    const { leaves } = startLeaves(t, 4)
    const file = leafFile(t, 1)
    const first = await leaves.pin(file.source(0))
    first.unpin()
    writeFileSync(file.path, bytesOf('other', 4096))
    const again = await leaves.pin(file.source(0))
    t.ok(file.leaf(0).equals(again.bytes))
    t.match(leaves.counts, { hits: 1, misses: 1 })
  },
)

t.test('bytes that are not the expected ones are never handed out, and cost no slot', async (t) => {
  const { leaves, slots } = startLeaves(t, 4)
  const file = leafFile(t, 2)
  const wrong = file.source(0, { expected: sha256(Buffer.from('another')) })
  for (let i = 0; i < 6; i++) await t.rejects(leaves.pin(wrong), LeafMismatch)
  truncateSync(file.path, 5000)
  await t.rejects(leaves.pin(file.source(1)), LeafMismatch, 'nor those of a file that ends early')
  await t.rejects(leaves.pin(file.source(1, { fd: 1_000_000 })), { message: /EBADF/ })
  t.equal(file.retained(), 0)
  t.equal(countFreeSlots(slots), 4)
})

t.test('a leaf larger than a slot is refused', async (t) => {
  const { leaves } = startLeaves(t, 1)
  await t.rejects(leaves.pin(leafFile(t, 1).source(0, { length: 1024 * 1024 + 1 })))
})

t.test('the least recently used leaf goes first, and never one that is pinned', async (t) => {
  const { leaves } = startLeaves(t, 2)
  const file = leafFile(t, 3)
  const touch = async (index: number): Promise<void> => {
    const leaf = await leaves.pin(file.source(index))
    leaf.unpin()
  }
  await touch(0)
  await touch(1)
  await touch(0)
  const held = await leaves.pin(file.source(2))
  const { misses } = leaves.counts
  await touch(0)
  t.equal(leaves.counts.misses, misses, 'leaf 0 is still there, leaf 1 went')
  await touch(1)
  t.ok(file.leaf(2).equals(held.bytes), 'a pinned leaf stays where it is')
})

t.test('when all slots are pinned a reader waits, and goes on once one is let go', async (t) => {
  const { leaves } = startLeaves(t, 2)
  const file = leafFile(t, 4)
  const first = await leaves.pin(file.source(0))
  const second = await leaves.pin(file.source(1))
  let done = 0
  const waiting = [2, 3, 2].map(async (index) => {
    const leaf = await leaves.pin(file.source(index))
    t.ok(file.leaf(index).equals(leaf.bytes))
    done += 1
    leaf.unpin()
  })
  leaves.readAhead(file.source(3))
  t.equal(done, 0)
  first.unpin()
  first.unpin()
  await Promise.all(waiting)
  second.unpin()
  t.equal(leaves.pinned(), 0)
  t.equal(file.retained(), 0)
})

t.test(
  'reading ahead never waits and never fails, and the leaf is there when its turn comes',
  async (t) => {
    const { leaves, slots } = startLeaves(t, 2)
    const file = leafFile(t, 3)
    leaves.readAhead(file.source(0))
    leaves.readAhead(file.source(0))
    leaves.readAhead(file.source(1, { expected: sha256(Buffer.from('wrong')) }))
    leaves.readAhead(file.source(2))
    t.equal(file.retained(), 2, 'once a leaf, and not without a slot at hand')
    const leaf = await leaves.pin(file.source(0))
    t.ok(file.leaf(0).equals(leaf.bytes))
    const right = await leaves.pin(file.source(1)).catch(() => leaves.pin(file.source(1)))
    t.ok(
      file.leaf(1).equals(right.bytes),
      'a failure ahead of time is met again by whoever needs it',
    )
    leaf.unpin()
    right.unpin()
    t.equal(countFreeSlots(slots), 2)
  },
)

t.test('a leaf read ahead turns urgent when somebody waits for it', async (t) => {
  const { leaves, pool, slots } = startLeaves(t, 4, 1)
  const file = leafFile(t, 1)
  const { segment, offset } = await slots.take()
  const from = { segment, offset, length: 1024 * 1024 }
  let hashed = 0
  const uploads = Array.from({ length: 40 }, async () => {
    await pool.run('upload', { kind: 'hash_leaf', from })
    hashed += 1
  })
  leaves.readAhead(file.source(0))
  await leaves.pin(file.source(0))
  t.ok(hashed < 5, 'it passed the uploads that wait')
  await Promise.all(uploads)
})

t.test('when the pool closes, every reader hears of it and no slot is lost', async (t) => {
  const { leaves, pool, slots } = startLeaves(t, 8, 1)
  const file = leafFile(t, 8)
  const readers = Array.from({ length: 8 }, (_, i) => leaves.pin(file.source(i)))
  const verdicts = Promise.allSettled(readers)
  await pool.close()
  t.ok((await verdicts).every(({ status }) => status === 'rejected'))
  t.equal(file.retained(), 0)
  t.equal(countFreeSlots(slots), 8)
})

t.test(
  'many readers on a tiny arena: never a wrong byte, never a deadlock, every slot idle at the end',
  async (t) => {
    const { leaves, slots } = startLeaves(t, 3)
    const file = leafFile(t, 12, 512)
    const step = fc.record({
      index: fc.nat(11),
      ahead: fc.nat(11),
      turns: fc.nat(3),
      kind: fc.constantFrom('good', 'good', 'good', 'wrong', 'long'),
    })
    const readers = fc.array(fc.array(step, { maxLength: 12 }), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(readers, async (all) => {
        await Promise.all(
          all.map(async (steps) => {
            for (const { index, ahead, turns, kind } of steps) {
              leaves.readAhead(file.source(ahead))
              if (kind !== 'good') {
                // Another blob, whose ledger row names bytes that it doesn't hold.
                const change =
                  kind === 'wrong' ? { expected: sha256(Buffer.from('x')) } : { length: 8000 }
                await t.rejects(leaves.pin(file.source(index, { vaultId: kind, ...change })))
                continue
              }
              const leaf = await leaves.pin(file.source(index))
              for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
              if (!file.leaf(index).equals(leaf.bytes)) throw new Error('wrong bytes')
              leaf.unpin()
            }
          }),
        )
        return leaves.pinned() === 0
      }),
      { numRuns: 60 },
    )
    rmSync(file.path)
    // Read-ahead that nobody waits for may still be on its way: everyone's turn comes before the last pins do.
    for (let i = 0; i < 12; i++) {
      const leaf = await leaves.pin(file.source(i))
      leaf.unpin()
    }
    t.equal(file.retained(), 0)
    t.equal(countFreeSlots(slots), 3)
  },
)
