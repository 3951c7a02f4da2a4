import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { startDetecting } from '../routes/detecting.ts'
import { jsonOf } from '../routes/wire.ts'
import { ask, engines, metricsOf, move, until, whyNot } from './asking.ts'
import { tinyDetector } from './fixture.ts'

// On a machine with more to do.
t.setTimeout(120_000)

t.test(
  'one that was never published is no reason not to be ready, and serves as soon as it is',
  async (t) => {
    const server = await startServer(t, { STRONGROOM_DETECTOR: 'acme/tiny@production' })
    const { detect } = server.strongroom
    await until(detect, ({ state }) => state === 'absent')
    t.equal((await server.request('/readyz')).status, 200)
    t.equal(await whyNot(server), 'absent')
    const nowhere = { state: 'absent', problem: 'The ref leads to no version.' }
    t.match(await jsonOf(await server.request('/readyz')), { detectors: [nowhere] })
    await server.put('acme/tiny/1.0', tinyDetector())
    await move(server, '1.0')
    await until(detect, ({ state }) => state === 'serving')
    t.equal((await ask(server)).model.version, '1.0')
    t.match(await jsonOf(await server.request('/readyz')), {
      status: 'ready',
      detectors: [
        { slot: 'primary', state: 'serving', provider: 'cpu', fell_back: [], problem: null },
      ],
    })
  },
)

t.test('while it is loaded for the first time the server is not ready, and says why', async (t) => {
  const before = await startDetecting(t)
  await before.close()
  const server = await startServer(
    t,
    { STRONGROOM_DETECTOR: 'acme/tiny@production' },
    before.folder,
  )
  t.match(await jsonOf(await server.request('/readyz')), {
    code: 'NOT_READY',
    detail: 'The detector is being loaded.',
    failing: ['detector'],
  })
  await server.request('/readyz')
  t.equal(await whyNot(server), 'loading')
  await until(server.strongroom.detect, ({ state }) => state === 'serving')
  t.equal((await server.request('/readyz')).status, 200)
  const said = server.log().filter(({ check }) => check === 'detector')
  t.match(
    said,
    [{ level: 30, msg: 'not ready yet' }, { msg: 'ready again' }],
    'once, however often',
  )
  t.equal(said.length, 2)
  t.notOk(said.some(({ err }) => err !== undefined))
})

t.test('a server with a detector', async (t) => {
  const server = await startDetecting(t)
  const { detect } = server.strongroom

  await t.test('goes over to what the tag names without one failure', async (t) => {
    await server.put('acme/tiny/1.1', tinyDetector({ seed: 2, threshold: 0.15 }))
    const versions: string[] = []
    let isOver = false
    const callers = Array.from({ length: 8 }, async () => {
      while (!isOver) versions.push((await ask(server)).model.version)
    })
    while (versions.length < 20) await setTimeout(5)
    await move(server, '1.1')
    await until(detect, ({ model }) => model?.version === '1.1')
    const there = versions.length
    while (versions.length < there + 20) await setTimeout(5)
    isOver = true
    await Promise.all(callers)
    t.strictSame(new Set(versions), new Set(['1.0', '1.1']))
    while (engines().length > 1) await setTimeout(20)
    t.match(await metricsOf(server), 'strongroom_detector_changes_total{slot="primary"} 2')
  })

  await t.test(
    'keeps what serves when what the tag names does not load, and says so',
    async (t) => {
      await server.put(
        'acme/tiny/2.0',
        tinyDetector({ golden: [{ text: 'x', spans: [{ category: 'phone', start: 0, end: 1 }] }] }),
      )
      await move(server, '2.0')
      await until(detect, ({ problem }) => problem?.version === '2.0')
      t.equal((await ask(server)).model.version, '1.1')
      const told = await jsonOf(await server.request('/readyz'))
      t.match(told, { detectors: [{ state: 'serving', problem: /golden/ }] })
      t.match(
        await metricsOf(server),
        'strongroom_detector_failures_total{slot="primary",code="golden"} 1',
      )
      t.ok(server.log().some(({ code, serving }) => code === 'golden' && serving === '1.1'))
      await move(server, '1.1')
      await until(detect, ({ problem }) => problem === undefined)
    },
  )

  await t.test('starts its process again when that dies', async (t) => {
    const [pid = 0] = engines()
    process.kill(pid, 'SIGKILL')
    await until(detect, ({ state }) => state !== 'serving')
    t.match(await whyNot(server), /failed|loading/)
    await until(detect, ({ state }) => state === 'serving')
    t.equal((await ask(server)).model.version, '1.1')
    t.equal((await server.request('/readyz')).status, 200)
  })

  await t.test('has nothing of a text in its log and metrics', async (t) => {
    await ask(server, 'Wilhelmina Featherstonehaugh, wil@feather.example')
    const all = JSON.stringify(server.log()) + (await metricsOf(server))
    t.notMatch(all, /wilhelmina|feather/i)
    t.match(all, /strongroom_detect_spans_total\{category="email",slot="primary"\}/)
    t.match(
      all,
      /strongroom_detector_info\{slot="primary",provider="cpu",version="1\.1",revision="[0-9a-f]{64}"\} 1/,
    )
    t.match(all, /strongroom_detect_queued_texts 0\n/)
  })

  await t.test('serves no version that was withdrawn', async (t) => {
    await server.request('/v1/checkpoints/acme/tiny/1.1?reason=poisoned', {
      method: 'DELETE',
      token: ADMIN,
    })
    await until(detect, ({ state }) => state === 'absent')
    t.equal(await whyNot(server), 'absent')
    while (engines().length > 0) await setTimeout(20)
  })
})

t.test(
  'what a detector doesn’t look for can’t be asked of it: none found would be a lie',
  async (t) => {
    const labels = ['none', 'email.begin', 'email.inside']
    const { post } = await startDetecting(
      t,
      {},
      { classifiers: [{ kind: 'logistic', link: 'softmax', labels }] },
    )
    const text = 'Anna Weber, anna@example.org'
    t.match(await jsonOf(await post('/detect', { text, categories: ['email'] })), { has_pii: true })
    const both = await post('/detect', { text, categories: ['email', 'phone'] })
    t.match(await jsonOf(both), { status: 400, code: 'INVALID_REQUEST' })
    const analyze = { text, language: 'en', entities: ['PHONE_NUMBER'] }
    t.equal((await post('/analyze', analyze)).status, 400)
  },
)
