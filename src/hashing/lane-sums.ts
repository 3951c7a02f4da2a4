import { createDecoder } from './small-floats.ts'
import { BLOCK_BYTES, LANE_STATE, LANES, type SummingKernel } from './summing-kernel.ts'
import { addExtremes, addNonFinite, type Tally } from './tally.ts'

/** A dtype whose elements are summed in lanes. */
interface LaneFormat {
  /** The block as elements, or as their codes. */
  readonly elements: Float64Array | Float32Array | Uint16Array
  /** Of a member of `elements`. */
  readonly valueOf: (element: number) => number
  readonly addVectors: (bytes: number) => void
  /** Of what `addVectors` keeps as extremes; beyond it lies what is not finite. */
  readonly largest: number
}

export type LaneDtype = 'F64' | 'F32' | 'BF16' | 'F16'

function formatsOf(kernel: SummingKernel): Readonly<Record<LaneDtype, LaneFormat>> {
  const { memory, addF64, addF32, addBF16, addF16 } = kernel
  const codes = new Uint16Array(memory, 0, BLOCK_BYTES / 2)
  const float = { valueOf: (element: number) => element, largest: Infinity }
  return {
    F64: { ...float, elements: new Float64Array(memory, 0, BLOCK_BYTES / 8), addVectors: addF64 },
    F32: { ...float, elements: new Float32Array(memory, 0, BLOCK_BYTES / 4), addVectors: addF32 },
    BF16: {
      elements: codes,
      valueOf: createDecoder('BF16'),
      addVectors: addBF16,
      largest: Infinity,
    },
    F16: { elements: codes, valueOf: createDecoder('F16'), addVectors: addF16, largest: 65_504 },
  }
}

/**
 * Adds a block's first `count` elements to a tally. Lane j of four sums elements j, j + 4, j + 8 …; the block's sum is
 * (lane 0 + lane 1) + (lane 2 + lane 3). An element that is not finite counts as 0 there.
 */
export function createLaneSums(
  kernel: SummingKernel,
  dtype: LaneDtype,
): (tally: Tally, count: number) => void {
  const { elements, valueOf, addVectors, largest } = formatsOf(kernel)[dtype]
  const { memory } = kernel
  const Extremes = dtype === 'F64' ? Float64Array : Float32Array
  const bytes = elements.BYTES_PER_ELEMENT
  const sums = new Float64Array(memory, LANE_STATE.sums, LANES)
  const squares = new Float64Array(memory, LANE_STATE.squares, LANES)
  const min = new Extremes(memory, LANE_STATE.min, 16 / Extremes.BYTES_PER_ELEMENT)
  const max = new Extremes(memory, LANE_STATE.max, 16 / Extremes.BYTES_PER_ELEMENT)
  const zeros = new Uint32Array(memory, LANE_STATE.zeros, 4)
  const state = new Uint8Array(memory, LANE_STATE.begin, LANE_STATE.end - LANE_STATE.begin)
  state.fill(0)
  min.fill(Infinity)
  max.fill(-Infinity)
  const initial = state.slice()

  function sumUp(count: number): void {
    state.set(initial)
    const vectors = count - (count % LANES)
    if (vectors > 0) addVectors(vectors * bytes)
    for (let i = vectors; i < count; i++) addElement(valueOf(elements[i] ?? 0), i - vectors)
  }

  function addElement(x: number, lane: number): void {
    sums[lane] = (sums[lane] ?? 0) + x
    squares[lane] = (squares[lane] ?? 0) + x * x
    if (x < (min[0] ?? 0)) min[0] = x
    if (x > (max[0] ?? 0)) max[0] = x
    if (x === 0) zeros[0] = (zeros[0] ?? 0) + 1
  }

  /** Counts what is not finite and writes 0 in its place; takes the extremes of the rest. How many it was. */
  function sift(tally: Tally, count: number): number {
    let sifted = 0
    for (let i = 0; i < count; i++) {
      const x = valueOf(elements[i] ?? 0)
      if (Number.isFinite(x)) {
        addExtremes(tally, x, x)
      } else {
        addNonFinite(tally, x, 1)
        elements[i] = 0
        sifted += 1
      }
    }
    return sifted
  }

  return (tally, count) => {
    tally.elements += count
    sumUp(count)
    const least = fold(min, lesser)
    const most = fold(max, greater)
    // Squares are never negative: what is not finite shows in their sum, and so does an overflow of float64.
    if (Number.isFinite(total(squares)) && least >= -largest && most <= largest) {
      addExtremes(tally, least, most)
    } else {
      tally.zeros -= sift(tally, count)
      sumUp(count)
    }
    tally.sum += total(sums)
    tally.squares += total(squares)
    tally.zeros += fold(zeros, sum)
  }
}

type Combine = (a: number, b: number) => number
const lesser: Combine = (a, b) => (a < b ? a : b)
const greater: Combine = (a, b) => (a > b ? a : b)
const sum: Combine = (a, b) => a + b

function fold(lanes: Float64Array | Float32Array | Uint32Array, combine: Combine): number {
  let folded = lanes[0] ?? 0
  for (let i = 1; i < lanes.length; i++) folded = combine(folded, lanes[i] ?? 0)
  return folded
}

const total = (lanes: Float64Array): number =>
  (lanes[0] ?? 0) + (lanes[1] ?? 0) + ((lanes[2] ?? 0) + (lanes[3] ?? 0))
