import { STATISTICS } from '../../db/ledger.ts'

/** What is known of a tensor's elements so far; sums and extremes are of the finite ones. */
export interface Tally {
  elements: number
  nan: number
  positiveInfinity: number
  negativeInfinity: number
  zeros: number
  min: number
  max: number
  sum: number
  squares: number
}

export const createTally = (): Tally => ({
  elements: 0,
  nan: 0,
  positiveInfinity: 0,
  negativeInfinity: 0,
  zeros: 0,
  min: Infinity,
  max: -Infinity,
  sum: 0,
  squares: 0,
})

export function addExtremes(tally: Tally, min: number, max: number): void {
  if (min < tally.min) tally.min = min
  if (max > tally.max) tally.max = max
}

/** `times` elements that are NaN or infinite. */
export function addNonFinite(tally: Tally, value: number, times: number): void {
  if (value === Infinity) tally.positiveInfinity += times
  else if (value === -Infinity) tally.negativeInfinity += times
  else tally.nan += times
}

/** Writes the tensor's numbers as TensorColumns holds them: NaN is one that there isn't, or that overflowed. */
export function writeTally(tally: Tally, column: Float64Array, tensor: number): void {
  const { elements, nan, positiveInfinity, negativeInfinity, zeros, min, max, sum, squares } = tally
  const finite = elements - nan - positiveInfinity - negativeInfinity
  const orNone = (value: number): number =>
    finite > 0 && Number.isFinite(value) ? withoutSign(value) : NaN
  const mean = orNone(sum / finite)
  const absoluteMax = orNone(Math.max(-min, max))
  const values = [orNone(min), orNone(max), mean, absoluteMax, orNone(Math.sqrt(squares))]
  column.set([nan, positiveInfinity, negativeInfinity, zeros, ...values], tensor * STATISTICS)
}

/** Of zero: −0 and 0 are the same element, whichever came first. */
const withoutSign = (value: number): number => value + 0
