import { monitorEventLoopDelay } from 'node:perf_hooks'
import t from 'tap'
import { addToken, file, openAt, publication } from './fixture.ts'

const COUNT = 100_000

t.test('a hundred thousand tensors are published while look-ups go on', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  const tensors = Array.from({ length: COUNT }, (_, i) => ({ name: `layer.${i}.weight` }))
  const large = publication('1', { files: [file('large', { tensors })] })
  const delay = monitorEventLoopDelay({ resolution: 5 })

  const begun = performance.now()
  const done = new AbortController()
  const published = ledger.publish(large).finally(() => {
    done.abort()
  })
  delay.enable()
  let lookUps = 0
  while (!done.signal.aborted) {
    await ledger.listTokens()
    await new Promise(setImmediate)
    lookUps += 1
  }
  delay.disable()
  t.match(await published, { outcome: 'created' })
  const elapsedMs = Math.round(performance.now() - begun)
  t.comment(`${elapsedMs} ms, ${lookUps} look-ups, longest turn ${delay.max / 1e6} ms`)

  const versionId = (await ledger.resolve('acme', 'bert', '1'))?.version.id ?? 0
  let count = 0
  let after: { path: string; name: string } | undefined
  do {
    const page = await ledger.tensorsOf({ versionId, after, limit: 1000 })
    count += page.length
    after = page.at(-1)
  } while (after !== undefined)
  t.equal(count, COUNT)
})

t.test(
  'the arrays of a publication move to the writer, and a view into more is copied',
  async (t) => {
    const ledger = await openAt(t, t.testdir())
    await addToken(ledger)
    const own = file('own', { tensors: [{ name: 'w' }] })
    await ledger.publish(publication('1', { files: [own] }))
    t.equal(own.blob.leaves.length, 0)
    await t.rejects(
      ledger.publish(publication('2', { files: [own] })),
      'nor can they be sent twice',
    )

    const whole = new Uint8Array(1024)
    const viewed = file('view', { size: 4 })
    whole.set(viewed.blob.leaves, 100)
    const blob = { ...viewed.blob, leaves: whole.subarray(100, 132) }
    t.match(await ledger.publish(publication('2', { files: [{ ...viewed, blob }] })), {
      outcome: 'created',
    })
    t.equal(whole.length, 1024)
  },
)
