import type { Detector } from '../detector.ts'
import { aligned } from '../open/check-finite.ts'
import { tensorOf } from '../tensor-values.ts'
import type { Attribute } from './onnx.ts'

/**
 * The attributes of a TreeEnsembleRegressor that adds up the leaves of an ensemble: a node is known by its tree and its
 * number, a leaf's value for each label by node and label.
 * https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html
 */
export function treeAttributes(
  detector: Detector,
  name: string,
): { attributes: Record<string, Attribute>; trees: number } {
  const ints = (field: string): Int32Array =>
    aligned(Int32Array, tensorOf(detector, `${name}.${field}`).bytes)
  const floats = (field: string): Float32Array =>
    aligned(Float32Array, tensorOf(detector, `${name}.${field}`).bytes)
  const features = ints('feature')
  const roots = ints('roots')
  const trees = treeOfEach(features.length, roots)
  const leaves = Int32Array.from(features.keys()).filter((node) => features[node] === -1)
  const labels = tensorOf(detector, `${name}.base`).shape[0] ?? 0
  return {
    trees: roots.length,
    attributes: {
      n_targets: { int: labels },
      nodes_treeids: { ints: trees },
      nodes_nodeids: { ints: Int32Array.from(features.keys()) },
      nodes_featureids: { ints: features.map((row) => Math.max(row, 0)) },
      nodes_modes: { strings: modes(features) },
      nodes_values: { floats: floats('threshold') },
      nodes_truenodeids: { ints: ofSplits(features, ints('left')) },
      nodes_falsenodeids: { ints: ofSplits(features, ints('right')) },
      ...targets(leaves, trees, labels, floats('value')),
    },
  }
}

function treeOfEach(nodes: number, roots: Int32Array): Int32Array {
  const trees = new Int32Array(nodes)
  for (const [tree, root] of roots.entries()) trees.fill(tree, root, roots[tree + 1])
  return trees
}

function* modes(features: Int32Array): Generator<string> {
  for (const row of features) yield row === -1 ? 'LEAF' : 'BRANCH_LEQ'
}

/** A leaf leads nowhere, whatever the file says. */
function ofSplits(features: Int32Array, nodes: Int32Array): Int32Array {
  return nodes.map((node, i) => (features[i] === -1 ? 0 : node))
}

function targets(
  leaves: Int32Array,
  trees: Int32Array,
  labels: number,
  values: Float32Array,
): Record<string, Attribute> {
  const count = leaves.length * labels
  const leafOf = (i: number): number => leaves[Math.floor(i / labels)] ?? 0
  const each = (value: (i: number) => number): Int32Array =>
    new Int32Array(count).map((_, i) => value(i))
  return {
    target_treeids: { ints: each((i) => trees[leafOf(i)] ?? 0) },
    target_nodeids: { ints: each(leafOf) },
    target_ids: { ints: each((i) => i % labels) },
    target_weights: {
      floats: new Float32Array(count).map((_, i) => values[leafOf(i) * labels + (i % labels)] ?? 0),
    },
  }
}
