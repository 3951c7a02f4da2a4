import { DTYPES } from './dtypes.ts'
import { grow, growable } from './growable.ts'

/**
 * The entries of a header in the order in which the header names them, as columns: half a million tensors
 * without half a million objects. Each array has a (resizable) buffer of its own and of its exact length,
 * so that it can be transferred to another thread.
 */
export interface HeaderColumns {
  readonly count: number
  /** All names in UTF-8, one after the other; `nameEnds[i]` is where the i-th ends. */
  readonly names: Uint8Array
  readonly nameEnds: Uint32Array
  /** Index into `DTYPES`. */
  readonly dtypes: Uint8Array
  /** All shapes, one after the other; `dimEnds[i]` is where the i-th ends. */
  readonly dims: Float64Array
  readonly dimEnds: Uint32Array
  /** Bytes from the start of the file, end exclusive. */
  readonly begins: Float64Array
  readonly ends: Float64Array
}

interface TensorEntry {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

/** Fills columns: a name first, so that a duplicate shows at once, then the rest of its entry. */
export interface ColumnsBuilder {
  /** Names so far, complete entries or not. */
  readonly count: number
  readonly names: Uint8Array
  readonly nameEnds: Uint32Array
  addName(bytes: Uint8Array, length: number): void
  addDim(dim: number): void
  /** Ends the entry of the last name. */
  addEntry(dtype: number, begin: number, end: number): void
  /** The columns, trimmed; the builder is spent. */
  finish(): HeaderColumns
}

/** The shortest that an entry can be in a header. */
const MIN_ENTRY_BYTES = '"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},'.length
const MIN_DIM_BYTES = '1,'.length

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** How many tensors a header of `headerBytes` can hold, one begun but not ended included. */
export function mostTensors(headerBytes: number, maxTensors: number): number {
  return Math.min(maxTensors, Math.floor(headerBytes / MIN_ENTRY_BYTES) + 1)
}

/** Columns for a header of `headerBytes`, which bounds all that they can hold. */
export function createColumnsBuilder(headerBytes: number, maxTensors: number): ColumnsBuilder {
  const most = mostTensors(headerBytes, maxTensors)
  const mostDims = Math.ceil(headerBytes / MIN_DIM_BYTES)
  const names = new Uint8Array(growable(headerBytes))
  const nameEnds = new Uint32Array(growable(most * 4))
  const dtypes = new Uint8Array(growable(most))
  const dims = new Float64Array(growable(mostDims * 8))
  const dimEnds = new Uint32Array(growable(most * 4))
  const begins = new Float64Array(growable(most * 8))
  const ends = new Float64Array(growable(most * 8))
  let count = 0
  let nameBytes = 0
  let dimCount = 0

  return {
    names,
    nameEnds,
    get count() {
      return count
    },
    addName(bytes, length) {
      grow(names.buffer, nameBytes + length)
      names.set(bytes.subarray(0, length), nameBytes)
      nameBytes += length
      grow(nameEnds.buffer, (count + 1) * 4)
      nameEnds[count] = nameBytes
      count += 1
    },
    addDim(dim) {
      grow(dims.buffer, (dimCount + 1) * 8)
      dims[dimCount] = dim
      dimCount += 1
    },
    addEntry(dtype, begin, end) {
      const i = count - 1
      grow(dtypes.buffer, count)
      grow(dimEnds.buffer, count * 4)
      grow(begins.buffer, count * 8)
      grow(ends.buffer, count * 8)
      dtypes[i] = dtype
      dimEnds[i] = dimCount
      begins[i] = begin
      ends[i] = end
    },
    finish() {
      names.buffer.resize(nameBytes)
      nameEnds.buffer.resize(count * 4)
      dtypes.buffer.resize(count)
      dims.buffer.resize(dimCount * 8)
      dimEnds.buffer.resize(count * 4)
      begins.buffer.resize(count * 8)
      ends.buffer.resize(count * 8)
      return { count, names, nameEnds, dtypes, dims, dimEnds, begins, ends }
    },
  }
}

/** The name of the i-th tensor. */
export function nameAt(columns: Pick<HeaderColumns, 'names' | 'nameEnds'>, i: number): string {
  const begin = i === 0 ? 0 : (columns.nameEnds[i - 1] ?? 0)
  return utf8.decode(columns.names.subarray(begin, columns.nameEnds[i]))
}

/** The i-th tensor; `begin` and `end` are bytes from the start of the file. */
export function tensorAt(columns: HeaderColumns, i: number): TensorEntry {
  const { dtypes, dims, dimEnds, begins, ends } = columns
  const dtype = DTYPES[dtypes[i] ?? -1]?.name
  const begin = begins[i]
  const end = ends[i]
  if (dtype === undefined || begin === undefined || end === undefined)
    throw new RangeError(`there is no tensor ${i} among ${columns.count}`)
  const shape = Array.from(dims.subarray(i === 0 ? 0 : dimEnds[i - 1], dimEnds[i]))
  return { name: nameAt(columns, i), dtype, shape, begin, end }
}
