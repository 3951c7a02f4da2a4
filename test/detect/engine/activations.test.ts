import t from 'tap'
import type { ActivationsWork } from '../../../src/detect/engine/messages.ts'
import { tinyDetector } from '../fixture.ts'
import { ask, codeOf, start } from './fixture.ts'

const { engine } = await start(t, tinyDetector({ tokenizer: 'none', threshold: 0.1 }))

const sines = Float32Array.from({ length: 700 * 32 }, (_, i) => 3 * Math.sin(i * i))
const activations = (
  dtype: ActivationsWork['dtype'],
  bytes: Uint8Array,
  more: Partial<ActivationsWork> = {},
): ActivationsWork => ({
  kind: 'activations',
  ...{ dtype, bytes, tokens: 700, dModel: 32, offsets: undefined },
  ...{ threshold: 0, categories: undefined, explain: false },
  ...more,
})
const bytesOf = (array: Float32Array | Float16Array | Uint16Array): Uint8Array =>
  new Uint8Array(array.buffer)

t.test('activations are judged alike in every dtype that holds them', async (t) => {
  const rounded = Float32Array.from(new Float16Array(sines))
  const halves = Uint16Array.from(new Uint32Array(rounded.buffer), (bits) => bits >>> 16)
  const cut = Float32Array.from(rounded, (value) => {
    const [bits = 0] = new Uint32Array(Float32Array.of(value).buffer)
    return new Float32Array(Uint32Array.of((bits >>> 16) << 16).buffer)[0] ?? 0
  })
  const ofF32 = await ask(engine, activations('F32', bytesOf(rounded)))
  t.ok((ofF32[0]?.spans.length ?? 0) > 50)
  t.equal(ofF32[0]?.chunks, 3)
  t.strictSame(await ask(engine, activations('F16', bytesOf(new Float16Array(sines)))), ofF32)
  const ofCut = await ask(engine, activations('F32', bytesOf(cut)))
  t.strictSame(await ask(engine, activations('BF16', bytesOf(halves))), ofCut)
  const offsets = Float64Array.from({ length: 1400 }, (_, i) => 5 * Math.ceil(i / 2) + 100)
  const [placed] = await ask(engine, activations('F32', bytesOf(rounded), { offsets }))
  for (const [i, { start, end }] of (placed?.spans ?? []).entries()) {
    const token = ofF32[0]?.spans[i]
    t.strictSame([start, end], [100 + 5 * (token?.start ?? 0), 100 + 5 * (token?.end ?? 0)])
  }
})

t.test('activations that aren’t numbers are the caller’s mistake', async (t) => {
  for (const value of [NaN, Infinity, -Infinity]) {
    const values = Float32Array.from(sines)
    values[699 * 32] = value
    t.equal(await codeOf(ask(engine, activations('F32', bytesOf(values)))), 'INVALID_REQUEST')
  }
  const [none] = await ask(engine, activations('F32', new Uint8Array(), { tokens: 0 }))
  t.strictSame(none, { spans: [], chunks: 0 })
})

t.test(
  'what the model says and isn’t a number is an error, never nothing found, and only for who asked',
  async (t) => {
    const huge = new Float32Array(sines.length).fill(3e38, 650 * 32)
    const [broken, whole] = await Promise.all([
      codeOf(ask(engine, activations('F32', bytesOf(huge)))),
      ask(engine, activations('F32', bytesOf(sines))),
    ])
    t.equal(broken, 'DETECTION_FAILED')
    t.ok(whole[0]?.spans.length)
  },
)
