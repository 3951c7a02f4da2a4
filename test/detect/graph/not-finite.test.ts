import t from 'tap'
import { buildActivationsGraph } from '../../../src/detect/graph/activations-graph.ts'
import type { Arithmetic } from '../../../src/detect/graph/graph.ts'
import { buildTextGraph } from '../../../src/detect/graph/text-graph.ts'
import { openDetector } from '../../../src/detect/open-detector.ts'
import { detectorFile, LABELS, type NewClassifier, tinyDetector, tinyParts } from '../fixture.ts'
import { f32 } from '../matrices.ts'
import { runActivations, runTexts } from './sessions.ts'

const CLASSIFIERS: readonly NewClassifier[] = [
  { kind: 'logistic', link: 'softmax', labels: LABELS },
  { kind: 'logistic', link: 'sigmoid', labels: LABELS },
  { kind: 'trees', link: 'softmax', aggregate: 'sum', labels: LABELS },
  { kind: 'trees', link: 'identity', aggregate: 'mean', labels: LABELS },
]

t.test(
  'a token whose latents overflow gets no probabilities, and its neighbours theirs',
  async (t) => {
    for (const architecture of ['relu', 'jumprelu', 'topk'] as const)
      for (const classifier of CLASSIFIERS) {
        const file = tinyDetector({ architecture, classifiers: [classifier], tokenizer: 'none' })
        const graph = buildActivationsGraph(openDetector(file))
        const plain = Array.from({ length: 32 }, (_, i) => Math.sin(i))
        for (const huge of [plain.map((x) => Math.sign(x) * 3.4e38), plain.map(() => Infinity)]) {
          const { probabilities } = await runActivations(graph, [plain, huge, plain])
          const name = `${architecture}, ${classifier.kind}, ${classifier.link}`
          t.ok(probabilities[1]?.every(Number.isNaN), name)
          t.ok(probabilities[0]?.every(Number.isFinite), name)
          t.strictSame(probabilities[2], probabilities[0], name)
        }
      }
  },
)

t.test('a host that overflows says nothing that could pass for a judgement', async (t) => {
  const pieces = [0, 20, 30, 40, 2]
  const text = { pieces, features: pieces.map(() => 0), mask: pieces.map(() => 1) }
  for (const name of ['host.embeddings.norm.weight', 'host.layers.0.norm.weight'])
    for (const arithmetic of ['f32', 'int8'] satisfies Arithmetic[]) {
      const { settings, tensors } = tinyParts({ storage: 'int8' })
      const broken = tensors.map((tensor) =>
        tensor.name === name ? f32(name, tensor.shape, new Float32Array(32).fill(3.3e38)) : tensor,
      )
      const detector = openDetector(detectorFile({ settings, tensors: broken }))
      const { probabilities } = await runTexts(buildTextGraph(detector, arithmetic), [text])
      t.ok(probabilities.flat().every(Number.isNaN), `${name} ${arithmetic}`)
    }
})
