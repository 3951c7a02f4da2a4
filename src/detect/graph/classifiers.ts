import type { ClassifierSettings, Detector, TreeSettings } from '../detector.ts'
import type { GraphBuilder, Name } from './builder.ts'
import { treeAttributes } from './tree-attributes.ts'
import type { Weights } from './weights.ts'

/**
 * All classifiers on latents `[n, rows]`: their probabilities side by side, `[n, labels of all]`.
 *
 * @param doubt `[n, 1]`, added to each
 */
export function classifiers(
  graph: GraphBuilder,
  weights: Weights,
  detector: Detector,
  x: Name,
  doubt: Name,
): Name {
  const parts = detector.settings.classifiers.map((settings, n) => {
    const name = `classifiers.${n}`
    const scores =
      settings.kind === 'logistic'
        ? weights.linear(name, x)
        : trees(graph, weights, detector, name, settings, x)
    return linked(graph, settings, scores)
  })
  const all = graph.node('Concat', parts, { attributes: { axis: { int: 1 } } })
  return graph.node('Add', [all, doubt])
}

function linked(graph: GraphBuilder, { link }: ClassifierSettings, scores: Name): Name {
  switch (link) {
    case 'softmax':
      return graph.node('Softmax', [scores], { attributes: { axis: { int: 1 } } })
    case 'sigmoid':
      return graph.node('Sigmoid', [scores])
    case 'identity':
      return graph.node('Clip', [scores, graph.scalar(0), graph.scalar(1)])
  }
}

function trees(
  graph: GraphBuilder,
  weights: Weights,
  detector: Detector,
  name: string,
  { aggregate }: TreeSettings,
  x: Name,
): Name {
  const { attributes, trees } = treeAttributes(detector, name)
  const sum = graph.node('TreeEnsembleRegressor', [x], { domain: 'ai.onnx.ml', attributes })
  const scores = aggregate === 'sum' ? sum : graph.node('Div', [sum, graph.scalar(trees)])
  return graph.node('Add', [scores, weights.vector(`${name}.base`)])
}
