import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { deface, flip, whereInVault } from '../attacks/hostile.ts'
import { startServer } from '../helpers/server.ts'
import { startDetecting, startReplica } from '../routes/detecting.ts'
import { jsonOf } from '../routes/wire.ts'
import { ask, metricsOf, move, until, whyNot } from './asking.ts'
import { tinyDetector } from './fixture.ts'

// On a machine with more to do.
t.setTimeout(120_000)

t.test('the canary gets its share, and is told apart', async (t) => {
  const server = await startDetecting(t, { STRONGROOM_DETECTOR_CANARY: 'acme/tiny@next:25' })
  t.equal((await ask(server)).model.slot, 'primary', 'all of it, while there is no canary')
  await server.put('acme/tiny/2.0', tinyDetector({ seed: 3 }))
  await move(server, '2.0', 'next')
  await until(server.strongroom.detect, ({ state }) => state === 'serving', 'canary')
  const answers = await Promise.all(Array.from({ length: 40 }, () => ask(server)))
  const ofCanary = answers.filter(({ model }) => model.slot === 'canary')
  t.equal(ofCanary.length, 10)
  t.ok(ofCanary.every(({ model }) => model.version === '2.0'))
  t.match(await metricsOf(server), 'slot="canary"} 10')
})

t.test('damaged bytes are never loaded', async (t) => {
  const before = await startDetecting(t)
  const where = await whereInVault(before, 'acme/tiny/1.0')
  await before.close()
  deface(where, flip(5_000))
  const server = await startServer(
    t,
    { STRONGROOM_DETECTOR: 'acme/tiny@production' },
    before.folder,
  )
  await until(server.strongroom.detect, ({ state }) => state === 'failed')
  t.equal(await whyNot(server), 'failed')
  t.equal((await server.request('/readyz')).status, 200)
  t.match(
    await metricsOf(server),
    'strongroom_detector_failures_total{slot="primary",code="damaged"}',
  )
  const { detect } = server.strongroom
  await server.put('acme/tiny/1.0', tinyDetector({ threshold: 0.15 }))
  await until(detect, ({ state }) => state === 'serving')
  t.equal((await ask(server)).model.version, '1.0', 'published again, it is repaired')
})

t.test('what is no detector is not loaded', async (t) => {
  const server = await startServer(t, { STRONGROOM_DETECTOR: 'acme/tiny@production' })
  await server.put('acme/tiny/1.0', Buffer.from(writeSafetensors([])))
  await move(server, '1.0')
  await until(server.strongroom.detect, ({ state }) => state === 'failed')
  t.match(server.strongroom.detect.slots()[0]?.problem?.why, /settings/)
})

t.test('what the loader says of a file that is no detector is told', async (t) => {
  const server = await startServer(t, { STRONGROOM_DETECTOR: 'acme/tiny@production' })
  const long = 'x'.repeat(5_000)
  for (const [version, settings, says] of [
    ['1.0', '{}', /knows: \w[^\n]+$/],
    ['1.1', JSON.stringify({ [long]: 1 }), /knows: .{1,300}…?$/],
  ] as const) {
    const tensor = { name: 'a', dtype: 'F32', shape: [1], bytes: new Uint8Array(4) }
    const file = writeSafetensors([tensor], { 'strongroom.detector': settings })
    await server.put(`acme/tiny/${version}`, Buffer.from(file))
    await move(server, version)
    await until(server.strongroom.detect, ({ problem }) => problem?.version === version)
    const { items } = await jsonOf(await server.request('/detect/models'))
    t.match(items, [{ problem: { why: says } }])
    t.match(await jsonOf(await server.request('/readyz')), { detectors: [{ problem: says }] })
  }
})

t.test('a server that only reads detects too, and admits nothing', async (t) => {
  const server = await startReplica(t, await startDetecting(t))
  await until(server.strongroom.detect, ({ state }) => state === 'serving')
  t.equal((await ask(server)).model.version, '1.0')
  t.notOk(server.log().some(({ msg }) => msg === 'no detector comes with this server'))
})
