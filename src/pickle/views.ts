import { dtypeFacts } from './dtypes.ts'
import { ConversionRefused } from './refused.ts'
import type { Storage, Tensor } from './values.ts'

/** A tensor whose every element lies inside its storage. */
export interface View {
  readonly storage: Storage
  /** Safetensors' name. */
  readonly dtype: string
  readonly elementBytes: number
  /** Of the first element, in the storage. */
  readonly beginByte: number
  readonly shape: readonly number[]
  /** In elements; of a dimension of 1 it means nothing. */
  readonly strides: readonly number[]
  /** Written out, row by row. */
  readonly sizeBytes: number
}

/** Beyond it a number is no longer exact, and no storage reaches it. */
const MOST = BigInt(Number.MAX_SAFE_INTEGER)

/** @param name for the message. @throws {ConversionRefused} */
export function viewOf(name: string, tensor: Tensor): View {
  const { storage, dtype, offset, shape, strides } = tensor
  const refuse = (sentence: string): never => {
    throw new ConversionRefused('tensor', `the tensor ${JSON.stringify(name)} ${sentence}`)
  }
  const facts = dtypeFacts(dtype)
  if (facts.safetensors === undefined)
    return refuse(`is of ${dtype}, which safetensors does not have`)
  if (shape.length !== strides.length)
    refuse(`has ${shape.length} dimensions and ${strides.length} strides`)
  if (offset < 0n || [...shape, ...strides].some((each) => each < 0n))
    refuse('has a negative offset, size or stride')
  const elementBytes = BigInt(facts.bytes)
  const sizeBytes = shape.reduce((product, size) => product * size, elementBytes)
  const last = shape.reduce((sum, size, i) => sum + (size - 1n) * (strides[i] ?? 0n), offset)
  if (sizeBytes > 0n && (last + 1n) * elementBytes > bytesOf(storage))
    refuse(`reaches beyond its storage, which has ${bytesOf(storage)} bytes`)
  if ([sizeBytes, offset, ...shape, ...strides].some((each) => each > MOST))
    refuse('is larger than any file')
  return {
    storage,
    dtype: facts.safetensors,
    elementBytes: facts.bytes,
    beginByte: sizeBytes === 0n ? 0 : Number(offset * elementBytes),
    shape: shape.map(Number),
    strides: strides.map(Number),
    sizeBytes: Number(sizeBytes),
  }
}

/** As its persistent id says. */
export function bytesOf({ dtype, count }: Storage): bigint {
  return count * BigInt(dtype === undefined ? 1 : dtypeFacts(dtype).bytes)
}

/** Whether its elements lie one behind the other, in the order in which they are written. */
export function isContiguous({ shape, strides, sizeBytes }: View): boolean {
  if (sizeBytes === 0) return true
  let wanted = 1
  for (let i = shape.length - 1; i >= 0; i -= 1) {
    const size = shape[i] ?? 1
    if (size > 1 && strides[i] !== wanted) return false
    wanted *= size
  }
  return true
}

/** Two views are tied where this is the same: the same bytes in the same order. */
export function tieOf({
  storage,
  dtype,
  beginByte,
  shape,
  strides,
  sizeBytes,
}: View): string | undefined {
  if (sizeBytes === 0) return undefined
  const steps = strides.map((stride, i) => (shape[i] === 1 ? 0 : stride))
  return JSON.stringify([storage.key, dtype, beginByte, shape, steps])
}
