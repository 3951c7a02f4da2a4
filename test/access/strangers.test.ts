import t from 'tap'
import { countStrangers } from '../../src/access/strangers.ts'

t.test('requests of strangers are told per address, when the counter closes at the latest', (t) => {
  const told = new Map<string, number>()
  const strangers = countStrangers((address, requests) => told.set(address, requests))
  for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.1']) strangers.count(address)
  strangers.close()
  t.same(Object.fromEntries(told), { '192.0.2.1': 2, '192.0.2.2': 1 })
  t.end()
})

t.test(
  'beyond a thousand addresses the rest is counted together, so that no flood fills memory or log',
  (t) => {
    const told = new Map<string, number>()
    const strangers = countStrangers((address, requests) => told.set(address, requests))
    for (let i = 0; i < 5000; i++) strangers.count(`2001:db8::${i.toString(16)}`)
    strangers.count('2001:db8::0')
    strangers.close()
    t.equal(told.size, 1001)
    t.equal(told.get('others'), 4000)
    t.equal(told.get('2001:db8::0'), 2)
    t.end()
  },
)
