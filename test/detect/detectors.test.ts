import { execFileSync } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import type { Detect, SlotState } from '../../src/detect/detection.ts'
import { RegistryError } from '../../src/errors.ts'
import { deface, flip, whereInVault } from '../attacks/hostile.ts'
import { ADMIN, startServer, type TestServer } from '../helpers/server.ts'
import { startDetecting } from '../routes/detecting.ts'
import { jsonOf } from '../routes/wire.ts'
import { tinyDetector } from './fixture.ts'

// On a machine with more to do.
t.setTimeout(120_000)

const TEXT = 'Anna Weber, anna@example.org'

const ask = ({ strongroom }: TestServer, text = TEXT) =>
  strongroom.detect.texts({
    surface: 'detect',
    texts: [text],
    language: undefined,
    threshold: 0.5,
    categories: undefined,
    explain: false,
    signal: undefined,
  })

async function whyNot(server: TestServer): Promise<unknown> {
  try {
    await ask(server)
    return undefined
  } catch (error) {
    return error instanceof RegistryError ? (error.facts['why'] ?? error.code) : error
  }
}

const move = (server: TestServer, ref: string, tag = 'production'): Promise<Response> =>
  server.request(`/v1/checkpoints/acme/tiny/tags/${tag}`, {
    token: ADMIN,
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ref }),
  })

/** Resolves once a slot is so. */
async function until(
  { slots }: Detect,
  isSo: (state: SlotState) => boolean,
  slot: SlotState['slot'] = 'primary',
): Promise<void> {
  while (!slots().some((state) => state.slot === slot && isSo(state))) await setTimeout(20)
}

/** Processes that this one runs detectors in. */
const engines = (): readonly number[] =>
  execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([, parent, ...args]) =>
        Number(parent) === process.pid && /engine\/child/.test(args.join(' ')),
    )
    .map(([pid]) => Number(pid))

const metricsOf = async (server: TestServer): Promise<string> =>
  (await server.request('/metrics')).text()

t.test(
  'one that was never published is no reason not to be ready, and serves as soon as it is',
  async (t) => {
    const server = await startServer(t, { STRONGROOM_DETECTOR: 'acme/tiny@production' })
    const { detect } = server.strongroom
    await until(detect, ({ state }) => state === 'absent')
    t.equal((await server.request('/readyz')).status, 200)
    t.equal(await whyNot(server), 'absent')
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
    failing: ['detector'],
  })
  t.equal(await whyNot(server), 'loading')
  await until(server.strongroom.detect, ({ state }) => state === 'serving')
  t.equal((await server.request('/readyz')).status, 200)
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
    t.match(all, /strongroom_detect_requests_total\{surface="detect",outcome="ok",slot="primary"\}/)
    t.match(all, /strongroom_detect_spans_total\{category="email",slot="primary"\}/)
    t.match(all, 'strongroom_detector_info{slot="primary",provider="cpu"} 1')
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
  const { writeSafetensors } = await import('../../src/safetensors/write.ts')
  await server.put('acme/tiny/1.0', Buffer.from(writeSafetensors([])))
  await move(server, '1.0')
  await until(server.strongroom.detect, ({ state }) => state === 'failed')
  t.match(server.strongroom.detect.slots()[0]?.problem?.why, /settings/)
})
