import fc from 'fast-check'
import t from 'tap'
import type { Test } from 'tap'
import type { Detector } from '../../../src/detect/detector.ts'
import { buildActivationsGraph } from '../../../src/detect/graph/activations-graph.ts'
import { createGraphBuilder } from '../../../src/detect/graph/builder.ts'
import { buildTextGraph } from '../../../src/detect/graph/text-graph.ts'
import { createWeights } from '../../../src/detect/graph/weights.ts'
import { openDetector } from '../../../src/detect/open-detector.ts'
import { LABELS, detectorFile, tinyDetector, tinyParts } from '../fixture.ts'
import type { NewClassifier, TinyOptions } from '../fixture.ts'
import { f32, i32 } from '../matrices.ts'
import { createRandom } from '../random.ts'
import {
  beforeLatents,
  hostForward,
  latentsForward,
  matrix,
  probabilitiesForward,
} from './forward.ts'
import type { Rows, Tokens } from './forward.ts'
import { createSession, runActivations, runTexts } from './sessions.ts'
import ort from 'onnxruntime-node'

/** Of f32 against f64, through every layer of a small detector. */
const TOLERANCE = 1e-5

const TREES: NewClassifier = { kind: 'trees', link: 'softmax', aggregate: 'sum', labels: LABELS }
const SIGMOID: NewClassifier = { kind: 'logistic', link: 'sigmoid', labels: ['phone', 'email'] }
const FOREST: NewClassifier = { kind: 'trees', link: 'identity', aggregate: 'mean', labels: ['none', 'address'], trees: 9 } // prettier-ignore
const BOOSTED: NewClassifier = {
  kind: 'trees',
  link: 'sigmoid',
  aggregate: 'sum',
  labels: ['phone'],
}

function textOf(seed: number, length: number, pieces = 180, padding = 0): Tokens {
  const random = createRandom(seed)
  const each = (below: number): number[] => Array.from({ length }, () => random.integer(below))
  const mask = Array.from({ length }, (_, i) => (i < length - padding ? 1 : 0))
  return { pieces: each(pieces), features: each(36), mask }
}

const rowsOf = (seed: number, count: number, width: number): Rows => {
  const random = createRandom(seed)
  return Array.from({ length: count }, () =>
    Array.from({ length: width }, () => Math.fround(random.normal())),
  )
}

function furthest(a: Rows, b: Rows): number {
  return Math.max(...a.flatMap((row, i) => row.map((value, j) => Math.abs(value - (b[i]?.[j] ?? NaN))))) // prettier-ignore
}

/**
 * How far latents are from those of the reference. Within TOLERANCE of its threshold, or of the k-th largest, a latent may
 * be there or not: one is in double precision, the other isn't.
 */
function furthestLatents(detector: Detector, found: Rows, before: Rows): number {
  const expected = latentsForward(detector, before)
  const differences = found.flatMap((row, i) =>
    row.map((value, j) => {
      const p = before[i]?.[j] ?? NaN
      const isOnEdge = (value === 0) !== (expected[i]?.[j] === 0) && edge(detector, expected[i] ?? [], p, j)
      return isOnEdge ? 0 : Math.abs(value - (expected[i]?.[j] ?? NaN))
    }),
  ) // prettier-ignore
  return Math.max(...differences)
}

function edge(detector: Detector, kept: readonly number[], p: number, j: number): boolean {
  const threshold = detector.tensors.get('sae.threshold')
  const at =
    threshold === undefined
      ? Math.min(...kept.filter((value) => value > 0))
      : new Float32Array(threshold.bytes.slice().buffer)[j]
  return Math.abs(p - (at ?? NaN)) < TOLERANCE
}

async function compareText(t: Test, options: TinyOptions, texts: readonly Tokens[]) {
  const detector = openDetector(tinyDetector(options))
  const found = await runTexts(buildTextGraph(detector), texts)
  const before = texts.flatMap((text) => beforeLatents(detector, hostForward(detector, text)))
  const isPiece = texts.flatMap(({ mask }) => mask.map((one) => one === 1))
  const kept = (rows: Rows): Rows => rows.filter((_, i) => isPiece[i])
  const latents = furthestLatents(detector, kept(found.latents), kept(before))
  const expected = probabilitiesForward(detector, found.latents)
  const probabilities = furthest(found.probabilities, expected)
  t.ok(latents < TOLERANCE, `latents differ by ${latents}: ${JSON.stringify(options)}`)
  t.ok(probabilities < TOLERANCE, `probabilities differ by ${probabilities}`)
}

const TEXT_CASES: TinyOptions[] = [
  { architecture: 'jumprelu', storage: 'f32' },
  { architecture: 'topk', storage: 'int8', pieceStorage: '4bit', layers: 1 },
  { architecture: 'relu', storage: 'f16', features: false, rows: 20 },
  { architecture: 'jumprelu', storage: 'bf16', pieceStorage: 'int8', heads: 1 },
  { architecture: 'topk', k: 1, classifiers: [TREES, SIGMOID] },
  { architecture: 'relu', tokenizer: 'wordpiece', classifiers: [FOREST, BOOSTED, SIGMOID] },
]

t.test(
  'a text graph computes what the format says, for every storage and architecture',
  async (t) => {
    for (const options of TEXT_CASES)
      await compareText(t, options, [textOf(1, 9), textOf(2, 9, 180, 4), textOf(3, 9, 180, 7)])
  },
)

t.test('graphs of any shape compute what the format says', async (t) => {
  const shape = fc.record({
    seed: fc.nat(1e6),
    architecture: fc.constantFrom('relu' as const, 'jumprelu' as const, 'topk' as const),
    storage: fc.constantFrom('f32' as const, 'f16' as const, 'bf16' as const, 'int8' as const),
    layers: fc.integer({ min: 1, max: 3 }),
    heads: fc.integer({ min: 1, max: 4 }),
    size: fc.integer({ min: 1, max: 9 }),
    intermediate: fc.integer({ min: 1, max: 33 }),
    saeWidth: fc.integer({ min: 4, max: 40 }),
    k: fc.integer({ min: 1, max: 4 }),
    features: fc.boolean(),
    length: fc.integer({ min: 2, max: 12 }),
  })
  for (const { size, length, ...options } of fc.sample(shape, { seed: 20_251_123, numRuns: 25 })) {
    const width = size * options.heads
    await compareText(t, { ...options, width }, [textOf(options.seed, length, 180, length >> 1)])
  }
})

t.test('what a text gives depends neither on its padding nor on its company', async (t) => {
  for (const arithmetic of ['f32', 'int8'] as const) {
    const detector = openDetector(tinyDetector({ storage: 'int8', architecture: 'relu' }))
    const graph = buildTextGraph(detector, arithmetic)
    const alone = await runTexts(graph, [textOf(1, 5)])
    const { pieces, features, mask } = textOf(1, 5)
    const fill = (values: readonly number[], one: number): number[] => [...values, one, one, one]
    const padded = { pieces: fill(pieces, 7), features: fill(features, 3), mask: fill(mask, 0) }
    const together = await runTexts(graph, [textOf(8, 8), padded, textOf(9, 8)])
    t.ok(furthest(alone.latents, together.latents.slice(8, 13)) < 1e-5, arithmetic)
    t.ok(furthest(alone.probabilities, together.probabilities.slice(8, 13)) < 1e-5, arithmetic)
  }
})

t.test('rows of a matrix are taken out exactly, however it is stored', async (t) => {
  for (const pieceStorage of ['f32', 'f16', 'bf16', 'int8', '4bit'] as const) {
    const detector = openDetector(tinyDetector({ pieceStorage, width: 64 }))
    const graph = createGraphBuilder()
    const indices = graph.input('indices', 'int64', ['B', 'T'])
    const rows = createWeights(graph, detector).rows('host.embeddings.piece', indices)
    graph.output('rows', rows, ['B', 'T', 64])
    const session = await createSession(graph.finish())
    const wanted = [3, 0, 150, 186, 3, 77]
    const input = new ort.Tensor('int64', BigInt64Array.from(wanted, BigInt), [2, 3])
    const { rows: found } = await session.run({ indices: input })
    const expected = matrix(detector, 'host.embeddings.piece')
    t.strictSame(
      found?.data,
      Float32Array.from(wanted.flatMap((row) => expected[row] ?? [])),
      pieceStorage,
    )
  }
})

t.test('an activations graph computes what the format says', async (t) => {
  const cases: TinyOptions[] = [
    { architecture: 'jumprelu', rows: 30 },
    { architecture: 'topk', storage: 'bf16', classifiers: [TREES] },
    { architecture: 'relu', storage: 'int8', classifiers: [FOREST, BOOSTED] },
    { architecture: 'relu', storage: 'f16', classifiers: [SIGMOID] },
  ]
  for (const options of cases) {
    const detector = openDetector(tinyDetector({ ...options, tokenizer: 'none' }))
    const x = rowsOf(4, 40, 32)
    const found = await runActivations(buildActivationsGraph(detector), x)
    t.ok(furthestLatents(detector, found.latents, beforeLatents(detector, x)) < TOLERANCE)
    const expected = probabilitiesForward(detector, found.latents)
    t.ok(furthest(found.probabilities, expected) < TOLERANCE, JSON.stringify(options))
  }
})

t.test('of equal latents TopK keeps those with the lower numbers', async (t) => {
  const options: TinyOptions = { tokenizer: 'none', architecture: 'topk', saeWidth: 300, k: 5 }
  const { settings, tensors } = tinyParts(options)
  const same = tensors.filter(({ name }) => !name.startsWith('sae.encoder'))
  const weight = f32('sae.encoder.weight', [300, 32], new Float32Array(300 * 32))
  const bias = f32('sae.encoder.bias', [300], new Float32Array(300).fill(2).fill(3, 200, 202))
  const detector = openDetector(detectorFile({ settings, tensors: [...same, weight, bias] }))
  const { latents } = await runActivations(buildActivationsGraph(detector), rowsOf(1, 3, 32))
  for (const row of latents)
    t.strictSame([...row.keys()].filter((i) => (row[i] ?? 0) > 0), [0, 1, 2, 200, 201]) // prettier-ignore
})

t.test('an activation at a split goes left; one just over it goes right', async (t) => {
  const labels = ['phone']
  const one: NewClassifier = { kind: 'trees', link: 'identity', aggregate: 'sum', labels, trees: 1, depth: 1 } // prettier-ignore
  const { settings, tensors } = tinyParts({ tokenizer: 'none', architecture: 'relu', classifiers: [one] }) // prettier-ignore
  const at = Math.fround(0.1)
  const over = Math.fround(at + 2 ** -27)
  const made = [
    f32('sae.encoder.weight', [48, 32], new Float32Array(48 * 32).fill(1, 0, 1)),
    f32('sae.encoder.bias', [48], new Float32Array(48)),
    i32('classifiers.0.feature', [0, -1, -1]),
    f32('classifiers.0.threshold', [3], Float32Array.of(at, 0, 0)),
    f32('classifiers.0.value', [3, 1], Float32Array.of(0, 0.25, 0.75)),
    f32('classifiers.0.base', [1], new Float32Array(1)),
  ]
  const names = new Set(made.map(({ name }) => name))
  const others = tensors.filter(({ name }) => !names.has(name))
  const detector = openDetector(detectorFile({ settings, tensors: [...others, ...made] }))
  const first = (value: number): number[] => [value, ...Array<number>(31).fill(0)]
  const { probabilities } = await runActivations(buildActivationsGraph(detector), [first(at), first(over)]) // prettier-ignore
  t.strictSame(probabilities, [[0.25], [0.75]])
})
