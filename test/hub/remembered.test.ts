import t from 'tap'
import { remembered } from '../../src/hub/remembered.ts'

t.test('what is asked for twice at once is computed once', async (t) => {
  const once = remembered<number>(2)
  let computed = 0
  const compute = async () => ++computed
  t.same(await Promise.all([once('a', compute), once('a', compute)]), [1, 1])
  t.equal(await once('a', compute), 1)
  t.equal(await once('b', compute), 2)
})

t.test('a failure is told to all who waited, and tried again', async (t) => {
  const once = remembered<number>(2)
  const fail = () => Promise.reject(new Error('not now'))
  await Promise.all([t.rejects(once('a', fail)), t.rejects(once('a', fail))])
  t.equal(await once('a', async () => 5), 5)
})

t.test('no more is kept than there is room for', async (t) => {
  const once = remembered<string>(1)
  for (const key of ['a', 'b', 'a']) await once(key, async () => key)
  t.equal(await once('b', async () => 'computed anew'), 'computed anew')
})
