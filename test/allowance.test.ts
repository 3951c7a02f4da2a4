import t from 'tap'
import { createAllowance } from '../src/allowance.ts'

t.test('callers share an amount, and what they give back is there for others', async (t) => {
  const open = createAllowance(100, 5)
  const [a, b] = [open(), open()]
  a.take(30)
  a.take(30)
  b.take(40)
  t.throws(
    () => {
      b.take(1)
    },
    { code: 'TOO_MANY_REQUESTS', facts: { retry_after: 5 } },
  )
  t.throws(
    () => {
      b.take(61)
    },
    { code: 'TOO_LARGE', facts: { limit: 100 } },
    'more than there ever is',
  )
  a.keep(10)
  b.take(50)
  t.throws(
    () => {
      a.take(1)
    },
    { code: 'TOO_MANY_REQUESTS' },
  )
  a.keep(50)
  t.throws(
    () => {
      b.take(1)
    },
    { code: 'TOO_MANY_REQUESTS' },
    'keeping takes nothing',
  )
  for (const share of [a, b, a, b]) share.keep(0)
  const c = open()
  c.take(100)
  t.throws(
    () => {
      a.take(1)
    },
    { code: 'TOO_MANY_REQUESTS' },
    'given back twice is given back once',
  )
})
