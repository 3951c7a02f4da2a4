import ort from 'onnxruntime-node'
import t from 'tap'
import { createGraphBuilder } from '../../../src/detect/graph/builder.ts'
import { LEAST_GELU, createInt8Linear } from '../../../src/detect/graph/int8-linear.ts'
import { PROBE_SHAPE, PROBE_SUM, buildInt8Probe } from '../../../src/detect/graph/int8-probe.ts'
import { buildTextGraph } from '../../../src/detect/graph/text-graph.ts'
import { openDetector } from '../../../src/detect/open-detector.ts'
import { tinyDetector } from '../fixture.ts'
import { createRandom } from '../random.ts'
import { linear } from './forward.ts'
import type { Rows } from './forward.ts'
import { createSession, runTexts } from './sessions.ts'

const detector = openDetector(tinyDetector({ storage: 'int8', intermediate: 48 }))

async function run(layer: 'up' | 'down', x: Rows): Promise<Rows> {
  const graph = createGraphBuilder()
  const [into, out] = layer === 'up' ? [32, 48] : [48, 32]
  const input = graph.input('x', 'float32', ['N', into])
  const int8 = createInt8Linear(graph, detector)
  const name = `host.layers.0.${layer}`
  const y = layer === 'up' ? int8.linear(name, input) : int8.linearOfGelu(name, input)
  graph.output('y', y, ['N', out])
  const session = await createSession(graph.finish())
  const results = await session.run({
    x: new ort.Tensor('float32', Float32Array.from(x.flat()), [x.length, into]),
  })
  const data = Array.from(results['y']?.data as Float32Array)
  return x.map((_, i) => data.slice(i * out, (i + 1) * out))
}

/** What is left of numbers when they are cut to steps of their row's range, as the graph cuts them. */
function cut(x: Rows, least: 'symmetric' | number): Rows {
  return x.map((row) => {
    if (least === 'symmetric') {
      const step = Math.max(...row.map(Math.abs)) / 127
      return row.map((value) => Math.round(value / step) * step)
    }
    const step = (Math.max(...row) - least) / 255
    return row.map((value) => Math.round((value - least) / step) * step + least)
  })
}

function furthest(a: Rows, b: Rows): number {
  return Math.max(...a.flatMap((row, i) => row.map((value, j) => Math.abs(value - (b[i]?.[j] ?? NaN))))) // prettier-ignore
}

/** Rows of very different sizes: each has its own scale. */
function rows(width: number, least: number): Rows {
  const random = createRandom(5)
  return [0.001, 1, 40].map((size) =>
    Array.from({ length: width }, () => Math.max(least, Math.fround(random.normal() * size))),
  )
}

t.test('this machine tells whether it multiplies 8-bit integers exactly', async (t) => {
  const session = await createSession(buildInt8Probe())
  const all = new Float32Array(PROBE_SHAPE[0] * PROBE_SHAPE[1]).fill(255)
  const { y } = await session.run({ x: new ort.Tensor('float32', all, PROBE_SHAPE) })
  const sums = new Set(y?.data as Float32Array)
  t.equal(sums.size, 1)
  if (!sums.has(PROBE_SUM)) {
    t.comment('NOT COMPARED: this CPU multiplies 8-bit integers inexactly; graphs are f32 here')
    return
  }
  for (const [layer, least] of [
    ['up', 'symmetric'],
    ['down', LEAST_GELU],
  ] as const) {
    const x = rows(layer === 'up' ? 32 : 48, layer === 'up' ? -Infinity : LEAST_GELU)
    const found = await run(layer, x)
    const expected = linear(detector, `host.layers.0.${layer}`, cut(x, least))
    for (const [i, row] of found.entries()) {
      const size = Math.max(...(expected[i] ?? []).map(Math.abs))
      t.ok(furthest([row], [expected[i] ?? []]) < 1e-4 * size, `${layer} of row ${i}`)
    }
  }
})

t.test('a row of nothing but zeros gives the bias', async (t) => {
  const zeros = [Array<number>(32).fill(0)]
  const found = await run('up', zeros)
  t.ok(furthest(found, linear(detector, 'host.layers.0.up', zeros)) < 1e-6)
})

t.test('a text in 8 bits gives about what it gives in f32', async (t) => {
  const random = createRandom(3)
  const each = (below: number): number[] => Array.from({ length: 12 }, () => random.integer(below))
  const text = { pieces: each(180), features: each(36), mask: Array<number>(12).fill(1) }
  const [f32, int8] = await Promise.all([
    runTexts(buildTextGraph(detector, 'f32'), [text]),
    runTexts(buildTextGraph(detector, 'int8'), [text]),
  ])
  const difference = furthest(f32.probabilities, int8.probabilities)
  t.comment({ difference })
  t.ok(difference > 0 && difference < 0.2)
})
