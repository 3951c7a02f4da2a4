import type { Detector } from '../detector.ts'
import { tensorOf } from '../tensor-values.ts'
import { aligned } from './check-finite.ts'
import { refuseTensor } from './tensor-taker.ts'

/** The engine walks a tree by recursion when it loads it. */
const MAX_DEPTH = 1024

/**
 * Checks that the nodes of each ensemble are trees: those of one lie together from its root on, each but the root is
 * the child of exactly one node, which comes before it. So there is no cycle, and nothing is left over.
 *
 * @throws DetectorRefused naming the tensor at fault
 */
export function checkTrees(detector: Detector): void {
  for (const [n, { kind }] of detector.settings.classifiers.entries())
    if (kind === 'trees') checkEnsemble(detector, `classifiers.${n}`)
}

interface Nodes {
  readonly name: string
  readonly feature: Int32Array
  readonly left: Int32Array
  readonly right: Int32Array
  /** Of each node, from 1 at a root; 0 for one that nothing leads to yet. */
  readonly depths: Int32Array
}

function checkEnsemble(detector: Detector, name: string): void {
  const ints = (field: string): Int32Array =>
    aligned(Int32Array, tensorOf(detector, `${name}.${field}`).bytes)
  const feature = ints('feature')
  const depths = new Int32Array(feature.length)
  const nodes = { name, feature, left: ints('left'), right: ints('right'), depths }
  const { rows } = detector.settings.sae
  const at = feature.findIndex((row) => row < -1 || row >= rows)
  if (at !== -1)
    refuseTensor(`${name}.feature`, `is no row of the SAE at node ${at}: ${feature[at] ?? ''}`)
  const roots = ints('roots')
  if (roots[0] !== 0) refuseTensor(`${name}.roots`, 'does not begin with node 0')
  for (let tree = 0; tree < roots.length; tree += 1) {
    const begin = roots[tree] ?? 0
    const end = roots[tree + 1] ?? feature.length
    if (end <= begin || end > feature.length)
      refuseTensor(`${name}.roots`, `does not ascend within the nodes, at tree ${tree + 1}`)
    checkTree(nodes, begin, end)
  }
}

function checkTree(nodes: Nodes, begin: number, end: number): void {
  const { name, feature, left, right, depths } = nodes
  depths[begin] = 1
  for (let node = begin; node < end; node += 1) {
    const depth = depths[node] ?? 0
    if (depth === 0) refuseTensor(`${name}.left`, `leads to node ${node} from nowhere in its tree`)
    if (depth > MAX_DEPTH)
      refuseTensor(`${name}.left`, `is more than ${MAX_DEPTH} deep at node ${node}`)
    if ((feature[node] ?? -1) === -1) continue
    leadTo(nodes, 'left', node, left[node] ?? 0, end)
    leadTo(nodes, 'right', node, right[node] ?? 0, end)
  }
}

function leadTo(
  { name, depths }: Nodes,
  side: 'left' | 'right',
  node: number,
  child: number,
  end: number,
): void {
  if (child <= node || child >= end)
    refuseTensor(`${name}.${side}`, `leads from node ${node} to ${child}, not on in its tree`)
  if (depths[child] !== 0)
    refuseTensor(`${name}.${side}`, `leads from node ${node} to ${child}, as another node does`)
  depths[child] = (depths[node] ?? 0) + 1
}
