import type { DetectorTensor } from '../detector.ts'
import { refuseAt } from './members.ts'

type Dtype = DetectorTensor['dtype']

const MAX_ELEMENTS = 2 ** 28

/** The tensors of a file, taken by the names that the settings call for. Each refusal names the tensor. */
export interface TensorTaker {
  /** The dtype of a tensor that must be there. */
  readonly dtypeOf: (name: string) => Dtype
  /** A tensor of one dimension, of at least one element unless told. */
  readonly list: (name: string, dtype: Dtype, least?: number) => number
  readonly exact: (name: string, dtype: Dtype, shape: readonly number[]) => void
  /** All was taken: what wasn't is unknown, and refused. */
  readonly end: () => void
}

export function createTensorTaker(held: ReadonlyMap<string, DetectorTensor>): TensorTaker {
  const untaken = new Set(held.keys())

  function take(name: string): DetectorTensor {
    const tensor = held.get(name)
    if (tensor === undefined) return refuseTensor(name, 'is missing')
    untaken.delete(name)
    if (tensor.shape.reduce((product, dim) => product * dim, 1) > MAX_ELEMENTS)
      refuseTensor(name, `has more than ${MAX_ELEMENTS} elements`)
    return tensor
  }

  function takeAs(name: string, dtype: Dtype): readonly number[] {
    const tensor = take(name)
    if (tensor.dtype !== dtype) refuseTensor(name, `is ${tensor.dtype}, not ${dtype}`)
    return tensor.shape
  }

  return {
    dtypeOf: (name) => take(name).dtype,
    list(name, dtype, least = 1) {
      const shape = takeAs(name, dtype)
      const [length = 0] = shape
      if (shape.length !== 1 || length < least)
        refuseTensor(name, `has the shape [${shape.join(', ')}], not one dimension`)
      return length
    },
    exact(name, dtype, wanted) {
      const shape = takeAs(name, dtype)
      if (shape.length !== wanted.length || wanted.some((dim, i) => shape[i] !== dim))
        refuseTensor(name, `has the shape [${shape.join(', ')}], not [${wanted.join(', ')}]`)
    },
    end() {
      for (const name of untaken) refuseTensor(name, 'is not a tensor that the settings call for')
    },
  }
}

export function refuseTensor(name: string, sentence: string): never {
  return refuseAt(`tensor ${name}`, sentence)
}
