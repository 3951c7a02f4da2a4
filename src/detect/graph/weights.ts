import type { Detector } from '../detector.ts'
import { matrixOf } from '../matrix-values.ts'
import { tensorOf } from '../tensor-values.ts'
import type { GraphBuilder, Name } from './builder.ts'
import { dataType } from './onnx.ts'
import type { DataType } from './onnx.ts'

/** Columns of a block of 4-bit numbers, which share a scale. */
const BLOCK = 32

/** Turns tensors of a detector's file into nodes of a graph. */
export interface Weights {
  readonly vector: (name: string) => Name
  /** A matrix as f32, `[rows, columns]`; one that isn't stored so is cast here, once. */
  readonly matrix: (name: string) => Name
  /** x · Wᵀ + b, of `x [n, in]`: `[n, out]`. */
  readonly linear: (name: string, x: Name) => Name
  /** LayerNorm over the last dimension. */
  readonly norm: (name: string, x: Name, epsilon: number) => Name
  /** Rows of a matrix, in f32: `indices [...]` give `[..., width]`. Stays in memory as it is stored. */
  readonly rows: (name: string, indices: Name) => Name
}

export function createWeights(graph: GraphBuilder, detector: Detector): Weights {
  const of = (name: string): ReturnType<typeof tensorOf> => tensorOf(detector, name)

  /** As it is stored. */
  function stored(name: string, type: DataType): Name {
    const { shape, bytes } = of(name)
    return graph.weight(name, type, shape, bytes)
  }

  function matrix(name: string): Name {
    const { dtype, shape } = of(name)
    if (dtype === 'F32') return stored(name, 'float32')
    const { buffer, byteOffset, byteLength } = matrixOf(detector, name)
    return graph.weight(name, 'float32', shape, new Uint8Array(buffer, byteOffset, byteLength))
  }

  function gather(name: string, type: DataType, indices: Name): Name {
    return graph.node('Gather', [stored(name, type), indices])
  }

  function cast(x: Name): Name {
    return graph.node('Cast', [x], { attributes: { to: { int: dataType('float32') } } })
  }

  function rows(name: string, indices: Name): Name {
    switch (of(name).dtype) {
      case 'F16':
        return cast(gather(name, 'float16', indices))
      case 'BF16':
        return cast(gather(name, 'bfloat16', indices))
      case 'I8': {
        const scales = gather(`${name}.scale`, 'float32', indices)
        const column = graph.node('Unsqueeze', [scales, graph.int64s([-1])])
        return graph.node('Mul', [cast(gather(name, 'int8', indices)), column])
      }
      case 'U8':
        return rowsOfBlocks(name, indices)
      default:
        return gather(name, 'float32', indices)
    }
  }

  /**
   * Of a block's 16 bytes, the low halves are its first 16 columns and the high halves the other 16. Taken apart in
   * floats, in which that is exact: not every provider shifts bytes.
   */
  function rowsOfBlocks(name: string, indices: Name): Name {
    const width = (of(name).shape[1] ?? 0) * 2
    const blocks = width / BLOCK
    const packed = graph.node('Reshape', [
      cast(gather(name, 'uint8', indices)),
      graph.int64s([0, 0, blocks, 1, BLOCK / 2]),
    ])
    const high = graph.node('Floor', [graph.node('Mul', [packed, graph.scalar(1 / 16)])])
    const low = graph.node('Sub', [packed, graph.node('Mul', [high, graph.scalar(16)])])
    const halves = graph.node('Concat', [low, high], { attributes: { axis: { int: 3 } } })
    const scales = graph.node('Unsqueeze', [
      cast(gather(`${name}.scale`, 'float16', indices)),
      graph.int64s([-1, -2]),
    ])
    const values = graph.node('Mul', [graph.node('Sub', [halves, graph.scalar(8)]), scales])
    return graph.node('Reshape', [values, graph.int64s([0, 0, width])])
  }

  return {
    vector: (name) => stored(name, 'float32'),
    matrix,
    linear: (name, x) =>
      graph.node('Gemm', [x, matrix(`${name}.weight`), stored(`${name}.bias`, 'float32')], {
        attributes: { transB: { int: 1 } },
      }),
    norm: (name, x, epsilon) =>
      graph.node(
        'LayerNormalization',
        [x, stored(`${name}.weight`, 'float32'), stored(`${name}.bias`, 'float32')],
        { attributes: { axis: { int: -1 }, epsilon: { float: epsilon } } },
      ),
    rows,
  }
}
