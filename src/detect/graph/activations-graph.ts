import type { Detector } from '../detector.ts'
import { createGraphBuilder } from './builder.ts'
import { classifiers } from './classifiers.ts'
import type { Graph } from './graph.ts'
import { latents } from './latents.ts'
import { createWeights } from './weights.ts'

/**
 * The graph of a detector without its host. Input: `activations` f32 `[N, d_model]`. Outputs, f32: `probabilities`
 * `[N, L]`, the labels of all classifiers, one classifier after the other, and `latents` `[N, rows]`.
 */
export function buildActivationsGraph(detector: Detector): Graph {
  const { sae, classifiers: all } = detector.settings
  const graph = createGraphBuilder()
  const weights = createWeights(graph, detector)
  const x = graph.input('activations', 'float32', ['N', sae.dModel])
  const { z, doubt } = latents(graph, weights, sae, x)
  const labels = all.reduce((count, one) => count + one.labels.length, 0)
  graph.output('probabilities', classifiers(graph, weights, detector, z, doubt), ['N', labels])
  graph.output('latents', z, ['N', sae.rows])
  return graph.finish()
}
