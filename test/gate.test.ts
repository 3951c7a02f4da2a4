import t from 'tap'
import { createGate } from '../src/gate.ts'

t.test('a gate lets its capacity through, and the rest waits in order', async (t) => {
  const gate = createGate(2)
  const [first, second] = [await gate.enter(), await gate.enter()]
  const order: string[] = []
  const enter = async (who: string): Promise<() => void> => {
    const leave = await gate.enter()
    order.push(who)
    return leave
  }
  const third = enter('third')
  const fourth = enter('fourth')
  t.equal(gate.waiting(), 2)
  t.equal(gate.tryEnter(), undefined)
  first()
  ;(await third)()
  ;(await fourth)()
  second()
  t.same(order, ['third', 'fourth'])
  t.equal(gate.waiting(), 0)
})

t.test('leaving twice lets out once', async (t) => {
  const gate = createGate(1)
  const leave = await gate.enter()
  leave()
  leave()
  t.ok(gate.tryEnter())
  t.equal(gate.tryEnter(), undefined)
})

t.test('amounts add up, and a large one that waits is not overtaken by a small one', async (t) => {
  const gate = createGate(10)
  const leaveSix = gate.tryEnter(6)
  t.ok(leaveSix)
  t.equal(gate.tryEnter(5), undefined)
  const large = gate.enter(8)
  t.equal(gate.tryEnter(1), undefined)
  const small = gate.enter(2)
  leaveSix?.()
  ;(await large)()
  ;(await small)()
  t.ok(gate.tryEnter(10), 'all of it is there again')
})

t.test('more than the capacity counts as all of it', async (t) => {
  const gate = createGate(3)
  const leave = await gate.enter(100)
  t.equal(gate.tryEnter(1), undefined)
  leave()
  t.ok(gate.tryEnter(3))
})
