import type { Detector } from '../detector.ts'
import { tensorOf } from '../tensor-values.ts'
import type { GraphBuilder, Name } from './builder.ts'
import type { Arithmetic } from './graph.ts'
import { createInt8Linear } from './int8-linear.ts'
import type { Weights } from './weights.ts'

/** The linear layers of a host, each by the name of its tensors. */
export interface HostLinear {
  readonly of: (name: string, x: Name) => Name
  /** x is what a GELU gave. */
  readonly ofGelu: (name: string, x: Name) => Name
}

export function createHostLinear(
  graph: GraphBuilder,
  weights: Weights,
  detector: Detector,
  arithmetic: Arithmetic,
): HostLinear {
  const int8 = createInt8Linear(graph, detector)
  const isInt8 = (name: string): boolean =>
    arithmetic === 'int8' && tensorOf(detector, `${name}.weight`).dtype === 'I8'
  return {
    of: (name, x) => (isInt8(name) ? int8.linear(name, x) : weights.linear(name, x)),
    ofGelu: (name, x) => (isInt8(name) ? int8.linearOfGelu(name, x) : weights.linear(name, x)),
  }
}
