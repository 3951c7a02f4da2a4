// An ONNX model as bytes. Numbers of fields: onnx/onnx.proto, which protobuf's rules of compatibility freeze.

import { bytes, float, int, message, packedFloats, packedInts, string } from './protobuf.ts'
import type { Field } from './protobuf.ts'

/** TensorProto.DataType */
const DATA_TYPES = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
} as const
export type DataType = keyof typeof DATA_TYPES

export const dataType = (type: DataType): number => DATA_TYPES[type]

export type Attribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: Int32Array }
  | { readonly floats: Float32Array }
  | { readonly strings: Iterable<string> }

export type Domain = '' | 'ai.onnx.ml' | 'com.microsoft'

export interface Node {
  readonly op: string
  readonly domain: Domain
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: Readonly<Record<string, Attribute>>
}

/** An input or output; a dimension with a name may be of any size. */
export interface Value {
  readonly name: string
  readonly type: DataType
  readonly shape: readonly (number | string)[]
}

/** A tensor that the model holds; `external` means that its bytes come from outside, under its own name. */
export interface Initializer {
  readonly name: string
  readonly type: DataType
  readonly shape: readonly number[]
  readonly data: Uint8Array
  readonly isExternal: boolean
}

export interface Model {
  readonly inputs: readonly Value[]
  readonly outputs: readonly Value[]
  readonly initializers: readonly Initializer[]
  readonly nodes: readonly Node[]
}

const IR_VERSION = 10
const OPSETS: readonly (readonly [Domain, number])[] = [
  ['', 21],
  ['ai.onnx.ml', 3],
  ['com.microsoft', 1],
]

/** ModelProto */
export function encodeModel({ inputs, outputs, initializers, nodes }: Model): Uint8Array {
  const graph = [
    ...nodes.map((node) => message(1, nodeFields(node))),
    string(2, 'detector'),
    ...initializers.map((initializer) => message(5, tensorFields(initializer))),
    ...inputs.map((value) => message(11, valueFields(value))),
    ...outputs.map((value) => message(12, valueFields(value))),
  ]
  return Buffer.concat([
    int(1, IR_VERSION),
    string(2, 'strongroom'),
    message(7, graph),
    ...OPSETS.map(([domain, version]) => message(8, [string(1, domain), int(2, version)])),
  ])
}

/** NodeProto */
function nodeFields({ op, domain, inputs, outputs, attributes }: Node): Field[] {
  return [
    ...inputs.map((name) => string(1, name)),
    ...outputs.map((name) => string(2, name)),
    // Unique, as outputs are, and what profiles and errors show.
    string(3, outputs[0] ?? op),
    string(4, op),
    ...Object.entries(attributes).map(([name, value]) =>
      message(5, [string(1, name), ...attributeFields(value)]),
    ),
    string(7, domain),
  ]
}

/** AttributeProto, with its type in field 20 */
function attributeFields(value: Attribute): Field[] {
  if ('float' in value) return [float(2, value.float), int(20, 1)]
  if ('int' in value) return [int(3, value.int), int(20, 2)]
  if ('string' in value) return [string(4, value.string), int(20, 3)]
  if ('floats' in value) return [packedFloats(7, value.floats), int(20, 6)]
  if ('ints' in value) return [packedInts(8, value.ints), int(20, 7)]
  return [...Array.from(value.strings, (text) => string(9, text)), int(20, 8)]
}

/** TensorProto */
function tensorFields({ name, type, shape, data, isExternal }: Initializer): Field[] {
  return [
    ...shape.map((dim) => int(1, dim)),
    int(2, DATA_TYPES[type]),
    string(8, name),
    ...(isExternal ? externalFields(name, data) : [bytes(9, data)]),
  ]
}

function externalFields(name: string, data: Uint8Array): Field[] {
  const entry = (key: string, value: string): Field =>
    message(13, [string(1, key), string(2, value)])
  return [
    entry('location', name),
    entry('offset', '0'),
    entry('length', String(data.length)),
    int(14, 1),
  ]
}

/** ValueInfoProto */
function valueFields({ name, type, shape }: Value): Field[] {
  const dims = shape.map((dim) =>
    message(1, [typeof dim === 'number' ? int(1, dim) : string(2, dim)]),
  )
  const tensor = message(1, [int(1, DATA_TYPES[type]), message(2, dims)])
  return [string(1, name), message(2, [tensor])]
}
