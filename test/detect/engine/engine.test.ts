import t from 'tap'
import type { Detection } from '../../../src/detect/detection.ts'
import { RegistryError } from '../../../src/errors.ts'
import { tinyDetector } from '../fixture.ts'
import { ask, codeOf, places, SETTINGS, start, text, texts } from './fixture.ts'

const { engine, runs } = await start(t, tinyDetector({ threshold: 0.1 }))

t.test('hundreds of callers at once each get the answer to their own text', async (t) => {
  const alone: Detection[] = []
  for (let n = 0; n < 40; n++) alone.push(...(await ask(engine, texts(text(n)))))
  const before = runs.length
  const asked = Array.from({ length: 300 }, (_, i) => [i % 40, (i * 7) % 40] as const)
  const answers = await Promise.all(asked.map(([a, b]) => ask(engine, texts(text(a), text(b)))))
  for (const [i, answer] of answers.entries()) {
    const expected = (asked[i] ?? []).map((n) => alone[n] ?? { spans: [], chunks: 0 })
    if (JSON.stringify(answer.map(places)) !== JSON.stringify(expected.map(places)))
      t.strictSame(answer.map(places), expected.map(places), `caller ${i}`)
  }
  t.ok(new Set(alone.map((each) => JSON.stringify(places(each)))).size > 25, 'they do differ')
  const chunks = alone.map((each) => each.chunks)
  t.ok(chunks.includes(1) && Math.max(...chunks) > 3, 'of one window and of several')
  t.ok(
    runs.slice(before).some((count) => count > 1),
    'and were judged together',
  )
  t.ok(Math.max(...runs) <= SETTINGS.batchChunks)
})

t.test('a short text does not wait for the whole of a long one', async (t) => {
  const order: string[] = []
  const long = texts(...Array.from({ length: 8 }, () => 'Anna Weber '.repeat(300)))
  await Promise.all([
    ask(engine, long).then(() => order.push('long')),
    ask(engine, texts('Anna Weber')).then(() => order.push('short')),
  ])
  t.strictSame(order, ['short', 'long'])
})

t.test(
  'no text breaks it: blanks, lone surrogates, NUL, bidi, combining marks, a huge word',
  async (t) => {
    const odd = [
      ...['', ' \n\t ', '\ud800', 'a\udc00b', '\0', '\u202egro.elpmaxe@anna', '\u200b\ufeff'],
      ...['e' + '\u0301'.repeat(9_999), 'x'.repeat(10_000), '👩‍👩‍👧‍👦'.repeat(900), '漢'.repeat(10_000)],
    ]
    const found = await ask(engine, texts(...odd))
    t.equal(found.length, odd.length)
    for (const [i, { spans }] of found.entries())
      for (const { start, end } of spans)
        t.ok(0 <= start && start < end && end <= (odd[i] ?? '').length)
    t.strictSame(found[0], { spans: [], chunks: 0 }, 'nothing to judge in nothing')
    t.equal(found[1]?.spans.length, 0)
    t.ok((found[8]?.chunks ?? 0) > 1)
  },
)

t.test(
  'what is asked for is what is told: confidence, categories, the latents that speak for it',
  async (t) => {
    const all = await ask(engine, texts(text(5)))
    const [first] = all[0]?.spans ?? []
    t.ok(first)
    const categories = [first?.category ?? 'phone']
    const few = await ask(engine, { ...texts(text(5)), categories })
    t.ok(few[0]?.spans.length)
    t.ok(few[0]?.spans.every(({ category }) => categories.includes(category)))
    const sure = await ask(engine, { ...texts(text(5)), threshold: 0.9 })
    t.ok(sure[0]?.spans.every(({ confidence }) => confidence >= 0.9))
    t.ok((sure[0]?.spans.length ?? 0) < (all[0]?.spans.length ?? 0))
    const [explained] = await ask(engine, { ...texts(text(5)), explain: true })
    t.strictSame(explained && places(explained), all[0] && places(all[0]))
    for (const { latents } of explained?.spans ?? []) {
      t.ok(latents && latents.length > 0 && latents.length <= 5)
      t.ok(latents?.every(({ activation, weight }) => activation > 0 && weight > 0))
    }
  },
)

t.test('who gives up is let go at once, and the work is forgotten', async (t) => {
  process.kill(engine.pid ?? 0, 'SIGSTOP')
  const caller = new AbortController()
  let free: () => void = () => undefined
  const freed = new Promise<void>((resolve) => (free = resolve))
  const long = texts(...Array.from({ length: 20 }, () => 'Anna Weber '.repeat(900)))
  const answer = engine.detect(long, caller.signal, free)
  const other = ask(engine, texts(text(3)))
  caller.abort(new RegistryError('DEADLINE_EXCEEDED', 'enough'))
  t.equal(await codeOf(answer), 'DEADLINE_EXCEEDED')
  process.kill(engine.pid ?? 0, 'SIGCONT')
  await freed
  t.equal((await other).length, 1, 'others go on')
})
