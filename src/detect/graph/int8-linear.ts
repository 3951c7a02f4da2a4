import type { Detector } from '../detector.ts'
import { aligned } from '../open/check-finite.ts'
import { float32sOf, tensorOf } from '../tensor-values.ts'
import type { GraphBuilder, Name } from './builder.ts'

// A linear layer in 8-bit integers, for matrices that are stored so: y = s · (q · Wqᵀ) · scale + b, where each row of x
// has a scale s of its own, so that what a token gets doesn't depend on the texts that it shares a batch with. One scale
// for a whole batch, as ONNX's own DynamicQuantizeLinear has it, errs ten times as much on a trained host.

/** What 8-bit sums of products can be told apart by, for a row of x that is all 0. */
const LEAST_SCALE = 1e-30

/** No GELU is less. */
export const LEAST_GELU = -0.17

interface Quantised {
  /** u8 `[n, in]` */
  readonly integers: Name
  readonly zeroPoint: number
  /** `[n, 1]` */
  readonly scales: Name
}

export interface Int8Linear {
  /** x of either sign, 255 steps from −max to max. */
  readonly linear: (name: string, x: Name) => Name
  /** x that is never less than LEAST_GELU, 256 steps from there to max. */
  readonly linearOfGelu: (name: string, x: Name) => Name
}

export function createInt8Linear(graph: GraphBuilder, detector: Detector): Int8Linear {
  /** Query, key and value read the same. */
  const made = new Map<Name, Quantised>()

  function symmetric(x: Name): Quantised {
    const before = made.get(x)
    if (before !== undefined) return before
    const most = graph.node('ReduceMax', [graph.node('Abs', [x]), graph.int64s([1])])
    const quantised = quantise(x, most, 127, 128)
    made.set(x, quantised)
    return quantised
  }

  function fromLeastGelu(x: Name): Quantised {
    const shifted = graph.node('Sub', [x, graph.scalar(LEAST_GELU)])
    return quantise(shifted, graph.node('ReduceMax', [shifted, graph.int64s([1])]), 255, 0)
  }

  function quantise(x: Name, most: Name, steps: number, zeroPoint: number): Quantised {
    const scales = graph.node('Max', [
      graph.node('Mul', [most, graph.scalar(1 / steps)]),
      graph.scalar(LEAST_SCALE),
    ])
    const perRow = graph.node('Squeeze', [scales, graph.int64s([1])])
    const zeroPoints = graph.node('Expand', [graph.uint8(zeroPoint), graph.node('Shape', [perRow])])
    const integers = graph.node('QuantizeLinear', [x, perRow, zeroPoints], {
      attributes: { axis: { int: 0 } },
    })
    return { integers, zeroPoint, scales }
  }

  function product(name: string, { integers, zeroPoint, scales }: Quantised): Name {
    const { shape } = tensorOf(detector, `${name}.weight.scale`)
    const scale = float32sOf(detector, `${name}.weight.scale`)
    const sums = graph.node(
      'MatMulIntegerToFloat',
      [
        integers,
        transposed(graph, detector, `${name}.weight`),
        graph.scalar(1),
        graph.weight(`${name}.weight.scale`, 'float32', shape, bytesOf(scale)),
        graph.uint8(zeroPoint),
      ],
      { domain: 'com.microsoft' },
    )
    return graph.node('Mul', [sums, scales])
  }

  return {
    linear: (name, x) => {
      const { shape, bytes } = tensorOf(detector, `${name}.bias`)
      const bias = graph.weight(`${name}.bias`, 'float32', shape, bytes)
      return graph.node('Add', [product(name, symmetric(x)), bias])
    },
    linearOfGelu: (name, x) => {
      const { shape } = tensorOf(detector, `${name}.bias`)
      const bias = bytesOf(biasFromLeastGelu(detector, name))
      return graph.node('Add', [
        product(name, fromLeastGelu(x)),
        graph.weight(`${name}.bias.shifted`, 'float32', shape, bias),
      ])
    },
  }
}

/** Integers are multiplied by a matrix `[in, out]`. */
function transposed(graph: GraphBuilder, detector: Detector, name: string): Name {
  const { shape, bytes } = tensorOf(detector, name)
  const [out = 0, into = 0] = shape
  const turned = new Uint8Array(bytes.length)
  for (let row = 0; row < out; row += 1)
    for (let column = 0; column < into; column += 1)
      turned[column * out + row] = bytes[row * into + column] ?? 0
  return graph.weight(`${name}.transposed`, 'int8', [into, out], turned)
}

/** W (x − least) + W · least + b = W x + b: the constant parts in one. */
function biasFromLeastGelu(detector: Detector, name: string): Float32Array {
  const weights = aligned(Int8Array, tensorOf(detector, `${name}.weight`).bytes)
  const scales = float32sOf(detector, `${name}.weight.scale`)
  const into = weights.length / scales.length
  return float32sOf(detector, `${name}.bias`).map((bias, row) => {
    let sum = 0
    for (let i = row * into; i < (row + 1) * into; i += 1) sum += weights[i] ?? 0
    return bias + LEAST_GELU * sum * (scales[row] ?? 0)
  })
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
