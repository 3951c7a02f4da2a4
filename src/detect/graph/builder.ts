import type { Graph } from './graph.ts'
import { encodeModel } from './onnx.ts'
import type { Attribute, DataType, Domain, Initializer, Node, Value } from './onnx.ts'

/** The name of a tensor in the graph. */
export type Name = string

/** Collects a graph node by node; each call returns the name of what it made. */
export interface GraphBuilder {
  readonly input: (name: string, type: DataType, shape: Value['shape']) => Name
  /** Weights that stay where they are: the graph holds no copy. */
  readonly weight: (
    name: string,
    type: DataType,
    shape: readonly number[],
    data: Uint8Array,
  ) => Name
  /** Small numbers that the graph holds itself. */
  readonly int64s: (values: readonly number[]) => Name
  /** A float of no dimension. */
  readonly scalar: (value: number) => Name
  /** An int64 of no dimension. */
  readonly int64: (value: number) => Name
  /** A uint8 of no dimension. */
  readonly uint8: (value: number) => Name
  readonly node: (op: string, inputs: readonly Name[], options?: NodeOptions) => Name
  /** A node with several outputs. */
  readonly nodes: (
    op: string,
    inputs: readonly Name[],
    outputs: number,
    options?: NodeOptions,
  ) => readonly Name[]
  readonly output: (name: string, from: Name, shape: Value['shape']) => void
  readonly finish: () => Graph
}

interface NodeOptions {
  readonly domain?: Domain
  readonly attributes?: Readonly<Record<string, Attribute>>
}

export function createGraphBuilder(): GraphBuilder {
  const inputs: Value[] = []
  const outputs: Value[] = []
  const initializers = new Map<Name, Initializer>()
  const nodes: Node[] = []

  function nodesOf(
    op: string,
    inputs: readonly Name[],
    count: number,
    { domain = '', attributes = {} }: NodeOptions = {},
  ): readonly Name[] {
    const made = Array.from({ length: count }, (_, i) => `${op}.${nodes.length}.${i}`)
    nodes.push({ op, domain, inputs, outputs: made, attributes })
    return made
  }

  /** The same constant is held once. */
  function constant(name: string, type: DataType, shape: number[], data: Uint8Array): Name {
    initializers.set(name, { name, type, shape, data, isExternal: false })
    return name
  }

  return {
    input(name, type, shape) {
      inputs.push({ name, type, shape })
      return name
    },
    weight(name, type, shape, data) {
      initializers.set(name, { name, type, shape, data, isExternal: true })
      return name
    },
    int64s(values) {
      const data = new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
      return constant(`ints.${values.join('.')}`, 'int64', [values.length], data)
    },
    int64(value) {
      return constant(
        `int.${value}`,
        'int64',
        [],
        new Uint8Array(BigInt64Array.of(BigInt(value)).buffer),
      )
    },
    uint8: (value) => constant(`uint8.${value}`, 'uint8', [], Uint8Array.of(value)),
    scalar(value) {
      return constant(
        `float.${value}`,
        'float32',
        [],
        new Uint8Array(Float32Array.of(value).buffer),
      )
    },
    node: (op, inputs, options) => nodesOf(op, inputs, 1, options)[0] ?? '',
    nodes: nodesOf,
    output(name, from, shape) {
      nodes.push({ op: 'Identity', domain: '', inputs: [from], outputs: [name], attributes: {} })
      outputs.push({ name, type: 'float32', shape })
    },
    finish() {
      const held = [...initializers.values()]
      return {
        model: encodeModel({ inputs, outputs, initializers: held, nodes }),
        externalData: held
          .filter(({ isExternal }) => isExternal)
          .map(({ name, data }) => ({ path: name, data })),
      }
    },
  }
}
