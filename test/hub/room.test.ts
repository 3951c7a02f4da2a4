import t from 'tap'
import { createRoom } from '../../src/hub/room.ts'

t.test('room that one has set aside is not there for another', async (t) => {
  const reserve = createRoom(() => Promise.resolve(100))
  const [first, second] = await Promise.allSettled([reserve(60), reserve(60)])
  t.match([first.status, second.status], ['fulfilled', 'rejected'])
  await t.rejects(reserve(40), { code: 'INSUFFICIENT_STORAGE' }, 'all of it is never given')
  const leave = await reserve(39)
  leave()
  leave()
  await t.rejects(reserve(40), { code: 'INSUFFICIENT_STORAGE' }, 'it came back once')
  if (first.status === 'fulfilled') first.value()
  t.type(await reserve(99), 'function')
})
