import { Readable, PassThrough } from 'node:stream'
import t from 'tap'
import { paced } from '../../src/http/pace.ts'

const QUICK = { windowMs: 50, minBytesPerSecond: 1000 }

async function collect(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

t.test('a body that keeps the pace passes as it is', async (t) => {
  const body = Readable.from([Buffer.from('ab'), Buffer.from('c')])
  t.equal(await collect(paced(body, { windowMs: 60_000, minBytesPerSecond: 1 })), 'abc')
})

t.test('a sender who falls silent is ended, though nothing more ever comes from it', async (t) => {
  const silent = new PassThrough()
  silent.write('begun')
  const body = paced(silent.iterator({ destroyOnReturn: false }), QUICK)
  await t.rejects(collect(body), { code: 'REQUEST_TIMEOUT' })
  t.notOk(silent.destroyed, 'its answer may still be written')
  silent.destroy()
})

t.test('a sender who trickles below the rate is ended', async (t) => {
  const trickle = new PassThrough()
  const drip = setInterval(() => trickle.write('x'), 5)
  t.teardown(() => {
    clearInterval(drip)
  })
  await t.rejects(collect(paced(trickle, { windowMs: 100, minBytesPerSecond: 100_000 })), {
    code: 'REQUEST_TIMEOUT',
  })
})

t.test('with a rate of 0 it is enough that something arrives', async (t) => {
  const trickle = new PassThrough()
  let drops = 0
  const drip = setInterval(() => {
    drops += 1
    if (drops < 30) trickle.write('x')
    else trickle.end()
  }, 5)
  t.teardown(() => {
    clearInterval(drip)
  })
  const body = paced(trickle, { windowMs: 60_000, minBytesPerSecond: 0 })
  t.equal((await collect(body)).length, 29)
})

t.test('the time that the taker needs is not held against the sender', async (t) => {
  const body = Readable.from([Buffer.from('a'), Buffer.from('b'), Buffer.from('c')])
  const taken: string[] = []
  for await (const chunk of paced(body, { windowMs: 20, minBytesPerSecond: 1 })) {
    taken.push(Buffer.from(chunk).toString())
    const busyUntil = performance.now() + 60
    while (performance.now() < busyUntil) await new Promise(setImmediate)
  }
  t.same(taken, ['a', 'b', 'c'])
})

t.test(
  'a sender who breaks off is an error of its own, and a taker who stops lets the body go',
  async (t) => {
    const broken = new PassThrough()
    broken.write('a')
    const reading = collect(paced(broken, QUICK))
    broken.destroy(new Error('gone'))
    await t.rejects(reading, { message: 'gone' })

    const left = new PassThrough()
    left.write('a')
    for await (const chunk of paced(left, { windowMs: 60_000, minBytesPerSecond: 1 })) {
      t.equal(chunk.length, 1)
      break
    }
    t.ok(left.destroyed)
  },
)
