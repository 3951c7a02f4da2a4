import t from 'tap'
import { createSlots, SLOT_BYTES, type Slot } from '../../src/hashing/slots.ts'

const arena = (count: number) => createSlots(count * SLOT_BYTES, () => undefined)

t.test('an arena has as many slots as its bytes hold, and no two share a byte', async (t) => {
  const slots = createSlots(20 * SLOT_BYTES + 1000, () => undefined)
  t.equal(slots.total, 20)
  const taken = await Promise.all(Array.from({ length: 20 }, () => slots.take()))
  taken.forEach((slot, i) => slot.bytes.fill(i))
  t.ok(taken.every((slot, i) => slot.bytes.every((byte) => byte === i)))
  t.equal(slots.tryTake(), undefined)
})

t.test('memory is made a segment at a time, when it is first needed', async (t) => {
  const shared: number[] = []
  const slots = createSlots(20 * SLOT_BYTES, (segment, buffer) => {
    shared.push(segment)
    t.equal(buffer.byteLength, (segment === 0 ? 16 : 4) * SLOT_BYTES)
  })
  t.same(shared, [])
  for (let i = 0; i < 16; i++) await slots.take()
  t.same(shared, [0])
  await slots.take()
  t.same(shared, [0, 1])
})

t.test('whoever waits is served first come, first served, and nobody overtakes', async (t) => {
  const slots = arena(1)
  const only = await slots.take()
  const served: string[] = []
  const wait = async (who: string): Promise<Slot> => {
    const slot = await slots.take()
    served.push(who)
    return slot
  }
  const [first, second] = [wait('first'), wait('second')]
  slots.give(only)
  t.equal(slots.tryTake(), undefined, 'a slot that is given goes to who waits')
  slots.give(await first)
  slots.give(await second)
  t.same(served, ['first', 'second'])
  t.equal(slots.tryTake(), only)
})

t.test(
  'without a free slot one is evicted, and a wake lets those who wait look again',
  async (t) => {
    const slots = arena(2)
    const evictable: Slot[] = [await slots.take(), await slots.take()]
    const [older, newer] = evictable
    slots.evictWith(() => evictable.shift())
    t.equal(await slots.take(), older)
    t.equal(slots.tryTake(), newer)
    const waiting = slots.take()
    if (older !== undefined) evictable.push(older)
    slots.wake()
    t.equal(await waiting, older)
  },
)
