import type { HostSettings } from '../detector.ts'
import type { GraphBuilder, Name } from './builder.ts'
import type { HostLinear } from './host-linear.ts'
import type { Weights } from './weights.ts'

/** What a text is to the host; all are `[B, T]`. */
interface TextInputs {
  readonly pieces: Name
  readonly mask: Name
  /** Only where the host has features. */
  readonly features: Name | undefined
}

/** What is added to the scores of padding, so that it gets no attention. */
const MASKED = -1e9

/** A BERT encoder up to its last layer here: `[B · T, width]`. Post-norm, GELU by erf, as published. */
export function hostLayers(
  graph: GraphBuilder,
  weights: Weights,
  linear: HostLinear,
  host: HostSettings,
  inputs: TextInputs,
): Name {
  const shape = graph.node('Shape', [inputs.pieces])
  const bias = attentionBias(graph, inputs.mask)
  let x = graph.node('Reshape', [
    embeddings(graph, weights, host, inputs),
    graph.int64s([-1, host.width]),
  ])
  for (let n = 0; n < host.layers; n += 1) {
    const layer = `host.layers.${n}`
    const attended = attention(graph, linear, host, `${layer}.attention`, { x, shape, bias })
    x = norm(graph, weights, host, `${layer}.attention.norm`, x, attended)
    x = norm(graph, weights, host, `${layer}.norm`, x, feedForward(graph, linear, layer, x))
  }
  return x
}

function embeddings(
  graph: GraphBuilder,
  weights: Weights,
  host: HostSettings,
  { pieces, features }: TextInputs,
): Name {
  const length = graph.node('Shape', [pieces], {
    attributes: { start: { int: 1 }, end: { int: 2 } },
  })
  const positions = graph.node('Range', [
    graph.int64(0),
    graph.node('Squeeze', [length]),
    graph.int64(1),
  ])
  const parts = [
    weights.rows('host.embeddings.piece', pieces),
    weights.rows('host.embeddings.position', positions),
  ]
  if (features !== undefined) parts.push(weights.rows('host.embeddings.feature', features))
  const sum = parts.reduce((a, b) => graph.node('Add', [a, b]))
  return weights.norm('host.embeddings.norm', sum, host.epsilon)
}

/** `[B, 1, 1, T]`: 0 for a piece, much less for padding. */
function attentionBias(graph: GraphBuilder, mask: Name): Name {
  const isPadding = graph.node('Equal', [mask, graph.int64(0)])
  const bias = graph.node('Where', [isPadding, graph.scalar(MASKED), graph.scalar(0)])
  return graph.node('Unsqueeze', [bias, graph.int64s([1, 2])])
}

function attention(
  graph: GraphBuilder,
  linear: HostLinear,
  { width, heads }: HostSettings,
  name: string,
  { x, shape, bias }: { x: Name; shape: Name; bias: Name },
): Name {
  const size = width / heads
  const split = graph.node('Concat', [shape, graph.int64s([heads, size])], {
    attributes: { axis: { int: 0 } },
  })
  function perHead(part: string, order: readonly number[]): Name {
    const apart = graph.node('Reshape', [linear.of(`${name}.${part}`, x), split])
    return graph.node('Transpose', [apart], {
      attributes: { perm: { ints: Int32Array.from(order) } },
    })
  }
  const query = graph.node('Mul', [perHead('query', [0, 2, 1, 3]), graph.scalar(size ** -0.5)])
  const scores = graph.node('MatMul', [query, perHead('key', [0, 2, 3, 1])])
  const shares = graph.node('Softmax', [graph.node('Add', [scores, bias])], {
    attributes: { axis: { int: -1 } },
  })
  const mixed = graph.node('MatMul', [shares, perHead('value', [0, 2, 1, 3])])
  const together = graph.node('Transpose', [mixed], {
    attributes: { perm: { ints: Int32Array.of(0, 2, 1, 3) } },
  })
  const flat = graph.node('Reshape', [together, graph.int64s([-1, width])])
  return linear.of(`${name}.output`, flat)
}

function feedForward(graph: GraphBuilder, linear: HostLinear, layer: string, x: Name): Name {
  const up = graph.node('Gelu', [linear.of(`${layer}.up`, x)])
  return linear.ofGelu(`${layer}.down`, up)
}

/** Post-norm: what a part of a layer made is added to what it was made of. */
function norm(
  graph: GraphBuilder,
  weights: Weights,
  { epsilon }: HostSettings,
  name: string,
  x: Name,
  made: Name,
): Name {
  return weights.norm(name, graph.node('Add', [x, made]), epsilon)
}
