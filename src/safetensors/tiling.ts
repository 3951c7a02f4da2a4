import { nameAt } from './columns.ts'
import type { HeaderColumns } from './columns.ts'
import { SafetensorsError } from './safetensors-error.ts'

/**
 * Checks that the tensors tile the data: the first begins at `dataBegin`, each begins where another ends, and
 * none covers another; a tensor of no bytes lies where two meet, or at an end. Takes n log n, for large n long
 * enough to belong in a worker.
 *
 * @returns where the data ends, absolute in the file
 * @throws SafetensorsError `gap` or `overlap`, naming a tensor at the fault
 */
export function checkTiling(columns: HeaderColumns, dataBegin: number): number {
  // Intervals that aren't empty tile a range exactly when their sorted begins are the range's start
  // and their sorted ends but the last: at each such point one stops and one starts.
  const sized = indicesOf(columns, (begin, end) => end > begin)
  const begins = sized.map((i) => columns.begins[i] ?? 0).sort()
  const ends = sized.map((i) => columns.ends[i] ?? 0).sort()
  let expected = dataBegin
  for (let k = 0; k < begins.length; k += 1) {
    const begin = begins[k] ?? 0
    if (begin > expected) fail('gap', columns, begin, expected)
    if (begin < expected) fail('overlap', columns, begin, begin)
    expected = ends[k] ?? 0
  }
  checkEmptyTensors(columns, begins, expected)
  return expected
}

function checkEmptyTensors(columns: HeaderColumns, begins: Float64Array, dataEnd: number): void {
  for (const i of indicesOf(columns, (begin, end) => end === begin)) {
    const at = columns.begins[i] ?? 0
    if (at === dataEnd || has(begins, at)) continue
    fail(at > dataEnd ? 'gap' : 'overlap', columns, at, Math.min(at, dataEnd))
  }
}

function indicesOf(
  { count, begins, ends }: HeaderColumns,
  keep: (begin: number, end: number) => boolean,
): Float64Array {
  const indices = new Float64Array(count)
  let kept = 0
  for (let i = 0; i < count; i += 1) {
    if (!keep(begins[i] ?? 0, ends[i] ?? 0)) continue
    indices[kept] = i
    kept += 1
  }
  return indices.subarray(0, kept)
}

/** Binary search. */
function has(sorted: Float64Array, value: number): boolean {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] ?? 0) < value) low = middle + 1
    else high = middle
  }
  return sorted[low] === value
}

function fail(
  reason: 'gap' | 'overlap',
  columns: HeaderColumns,
  begin: number,
  offset: number,
): never {
  const index = columns.begins.lastIndexOf(begin)
  const sentence =
    reason === 'gap'
      ? `no tensor holds byte ${offset} of the file`
      : `two tensors hold byte ${offset} of the file`
  throw new SafetensorsError(reason, sentence, { offset, tensor: nameAt(columns, index) })
}
