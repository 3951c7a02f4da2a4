import type { SaeSettings } from '../detector.ts'
import type { GraphBuilder, Name } from './builder.ts'
import type { Weights } from './weights.ts'

export interface Latents {
  /** `[n, rows]` */
  readonly z: Name
  /**
   * `[n, 1]`: 0, or NaN for a token that something wasn't finite for. An activation function or a tree makes a plain
   * number of NaN; what is said of such a token must not pass for a judgement.
   */
  readonly doubt: Name
}

/** The SAE's encoder on activations `[n, d_model]`. */
export function latents(graph: GraphBuilder, weights: Weights, sae: SaeSettings, x: Name): Latents {
  const before = weights.linear('sae.encoder', x)
  const doubt = graph.node('Mul', [
    graph.node('ReduceSum', [before, graph.int64s([1])]),
    graph.scalar(0),
  ])
  return { z: activated(graph, weights, sae, before), doubt }
}

function activated(graph: GraphBuilder, weights: Weights, sae: SaeSettings, before: Name): Name {
  switch (sae.architecture) {
    case 'relu':
      return graph.node('Relu', [before])
    case 'jumprelu': {
      const isOver = graph.node('Greater', [before, weights.vector('sae.threshold')])
      return graph.node('Where', [isOver, before, graph.scalar(0)])
    }
    case 'topk':
      return largest(graph, graph.node('Relu', [before]), sae.k ?? 0)
  }
}

/** The k largest of each row, 0 elsewhere; of equal ones TopK takes the lower number. */
function largest(graph: GraphBuilder, x: Name, k: number): Name {
  const [values = '', indices = ''] = graph.nodes('TopK', [x, graph.int64s([k])], 2, {
    attributes: { axis: { int: 1 } },
  })
  const zeros = graph.node('ConstantOfShape', [graph.node('Shape', [x])])
  return graph.node('ScatterElements', [zeros, indices, values], {
    attributes: { axis: { int: 1 } },
  })
}
