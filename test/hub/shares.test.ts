import t from 'tap'
import { createShares } from '../../src/hub/shares.ts'

t.test('nobody has more than a part of what all share', async (t) => {
  const take = createShares(10, 6)
  const leaves = [take('a', 4), take('a', 2)]
  t.equal(take('a'), undefined, 'which is all that one may have')
  t.type(take('b', 4), 'function')
  t.equal(take('c'), undefined, 'when there is no more')
  leaves[0]?.()
  leaves[0]?.()
  t.equal(take('c', 5), undefined, 'what is given back twice came back once')
  t.type(take('c', 4), 'function')
})

t.test('what was given back can be had again', async (t) => {
  const take = createShares(2, 2)
  for (let i = 0; i < 10; i++) {
    const leave = take('a', 2)
    t.type(leave, 'function')
    leave?.()
  }
})
