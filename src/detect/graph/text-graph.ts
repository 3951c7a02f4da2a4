import type { Detector } from '../detector.ts'
import { createGraphBuilder } from './builder.ts'
import { classifiers } from './classifiers.ts'
import type { Arithmetic, Graph } from './graph.ts'
import { hostLayers } from './host-layers.ts'
import { createHostLinear } from './host-linear.ts'
import { latents } from './latents.ts'
import { createWeights } from './weights.ts'

/**
 * The graph of a detector that reads text. Inputs, all int64 `[B, T]`: `pieces` (begin and end included), `mask`
 * (1 for a piece, 0 for padding) and, where the host has them, `features`. Outputs, f32: `probabilities` `[B, T, L]`,
 * the labels of all classifiers, one classifier after the other, and `latents` `[B, T, rows]`. At padding they mean nothing.
 */
export function buildTextGraph(detector: Detector, arithmetic: Arithmetic = 'f32'): Graph {
  const { text, sae, classifiers: all } = detector.settings
  if (text === undefined) throw new Error('This detector reads activations only.')
  const graph = createGraphBuilder()
  const weights = createWeights(graph, detector)
  const pieces = graph.input('pieces', 'int64', ['B', 'T'])
  const mask = graph.input('mask', 'int64', ['B', 'T'])
  const features =
    text.host.features === undefined ? undefined : graph.input('features', 'int64', ['B', 'T'])
  const linear = createHostLinear(graph, weights, detector, arithmetic)
  const x = hostLayers(graph, weights, linear, text.host, { pieces, mask, features })
  const { z, doubt } = latents(graph, weights, sae, x)
  const labels = all.reduce((count, one) => count + one.labels.length, 0)
  const shape = graph.node('Shape', [pieces])
  const unflattened = (name: string, flat: string, width: number): void => {
    const whole = graph.node('Concat', [shape, graph.int64s([width])], {
      attributes: { axis: { int: 0 } },
    })
    graph.output(name, graph.node('Reshape', [flat, whole]), ['B', 'T', width])
  }
  unflattened('probabilities', classifiers(graph, weights, detector, z, doubt), labels)
  unflattened('latents', z, sae.rows)
  return graph.finish()
}
