import {
  type Code,
  doWhile,
  f32x4,
  f64x2,
  get,
  i32,
  i32x4,
  i64x2,
  moduleOf,
  set,
  v128,
} from './wasm.ts'

/*
 * The loops over elements, in WebAssembly: its vectors take four elements at a time without a branch. JavaScript took
 * two to four times as long, and longer for some data than for others. The memory of the kernel:
 *
 *        0  a block of elements
 *    65536  state of the lanes
 *             sums, squares  4 lanes each, float64
 *             min, max       a vector each, of float64 for F64, else of float32
 *             zeros          a vector of integers as wide as those
 *    66560  counters of 32 bits for bytes: 256 for those at even places, 256 for those at odd ones, since where
 *           one code repeats, as zeros do, each increment would wait for the one before
 *   131072  the same for pairs of bytes: twice 65536
 *   655360
 */
export const BLOCK_BYTES = 65_536
export const LANES = 4
export const LANE_STATE = {
  begin: 65_536,
  sums: 65_536,
  squares: 65_568,
  min: 65_600,
  max: 65_616,
  zeros: 65_632,
  end: 65_648,
}
/** Of bytes and of pairs: how many codes there are, and where the counters of even and odd places lie. */
export const BYTES = { codes: 256, even: 66_560, odd: 67_584 }
export const PAIRS = { codes: 65_536, even: 131_072, odd: 393_216 }
const MEMORY_PAGES = 10

/** Each works on the block's first `bytes`, which are not 0: a multiple of four elements, or of four pairs. */
export interface SummingKernel {
  readonly memory: ArrayBuffer
  readonly addF64: (bytes: number) => void
  readonly addF32: (bytes: number) => void
  readonly addBF16: (bytes: number) => void
  /** Infinities and NaN come out beyond 65504, the largest finite element: the extremes tell of them. */
  readonly addF16: (bytes: number) => void
  readonly countBytes: (bytes: number) => void
  readonly countPairs: (bytes: number) => void
}

// Locals: the parameter and two integers; then vectors, of which those from SUMS to ZEROS lie in the state in this order.
const END = 0
const AT = 1
const COUNTER = 2
const INTEGERS = 2
const [SUMS, SUMS_2, SQUARES, SQUARES_2, MIN, MAX, ZEROS] = [3, 4, 5, 6, 7, 8, 9]
const [X, Y, NOUGHT, MASK, SIGN_AND_VALUE, EXPONENT, SIGN_AND_EXPONENT, LOWEST, REBIAS] = [
  10, 11, 12, 13, 14, 15, 16, 17, 18,
]
const STATE = [SUMS, SUMS_2, SQUARES, SQUARES_2, MIN, MAX, ZEROS]
const VECTORS = 16
const VECTOR_BYTES = 16

const addTo = (local: number, value: Code): Code => set(local, f64x2.add(get(local), value))

const addLanes = (sums: number, squares: number, x: number): Code => [
  ...addTo(sums, get(x)),
  ...addTo(squares, f64x2.mul(get(x), get(x))),
]

/** A comparison that holds is −1. */
const addExtremes = (
  each: typeof f32x4 | typeof f64x2,
  integers: typeof i32x4 | typeof i64x2,
  x: number,
): Code => [
  ...set(MIN, each.pmin(get(MIN), get(x))),
  ...set(MAX, each.pmax(get(MAX), get(x))),
  ...set(ZEROS, integers.subtract(get(ZEROS), each.equal(get(x), get(NOUGHT)))),
]

const FOUR_F64: Code = [
  ...set(X, v128.load(get(AT))),
  ...set(Y, v128.load(get(AT), VECTOR_BYTES)),
  ...addExtremes(f64x2, i64x2, X),
  ...addExtremes(f64x2, i64x2, Y),
  ...addLanes(SUMS, SQUARES, X),
  ...addLanes(SUMS_2, SQUARES_2, Y),
]

/** Of four float32 in X. */
const ADD_X: Code = [
  ...addExtremes(f32x4, i32x4, X),
  ...set(Y, f64x2.promoteLow(v128.upperHalf(get(X)))),
  ...set(X, f64x2.promoteLow(get(X))),
  ...addLanes(SUMS, SQUARES, X),
  ...addLanes(SUMS_2, SQUARES_2, Y),
]

const FOUR_F32: Code = [...set(X, v128.load(get(AT))), ...ADD_X]

/** A bfloat16 is the upper half of its float32. */
const FOUR_BF16: Code = [
  ...set(X, i32x4.shiftLeft(v128.load16x4(get(AT)), i32.constant(16))),
  ...ADD_X,
]

/*
 * Sign, exponent and fraction of a binary16 move to where a float32 has them, and the exponent from its bias of 15 to
 * one of 127. Exponent 0, of zeros and subnormals, is read as 1 and the 1 before the fraction taken off again: no
 * operand is a subnormal float32, which some processors take a hundred cycles for.
 */
const F16_CONSTANTS: Code = [
  ...set(SIGN_AND_VALUE, i32x4.splat(i32.constant(0x8fffe000))),
  ...set(EXPONENT, i32x4.splat(i32.constant(0x0f800000))),
  ...set(SIGN_AND_EXPONENT, i32x4.splat(i32.constant(0xff800000))),
  ...set(LOWEST, i32x4.splat(i32.constant(0x00800000))),
  ...set(REBIAS, i32x4.splat(i32.constant((127 - 15) << 23))),
]
const FOUR_F16: Code = [
  ...set(X, i32x4.shiftLeft(v128.load16x4Signed(get(AT)), i32.constant(13))),
  ...set(X, v128.and(get(X), get(SIGN_AND_VALUE))),
  ...set(MASK, i32x4.equal(v128.and(get(X), get(EXPONENT)), get(NOUGHT))),
  ...set(X, i32x4.add(get(X), get(REBIAS))),
  ...set(X, i32x4.add(get(X), v128.and(get(MASK), get(LOWEST)))),
  ...set(MASK, v128.and(get(MASK), get(SIGN_AND_EXPONENT))),
  ...set(X, f32x4.subtract(get(X), v128.and(get(X), get(MASK)))),
  ...ADD_X,
]

const countCode = (code: Code, place: number, { even, odd }: typeof PAIRS): Code => {
  const counters = place % 2 === 0 ? even : odd
  const next = i32.add(i32.load(get(COUNTER), counters), i32.constant(1))
  return [
    ...set(COUNTER, i32.shiftLeft(code, i32.constant(2))),
    ...i32.store(get(COUNTER), counters, next),
  ]
}
const PLACES = [0, 1, 2, 3]
const FOUR_BYTES = PLACES.flatMap((place) => countCode(i32.load8(get(AT), place), place, BYTES))
const FOUR_PAIRS = PLACES.flatMap((place) =>
  countCode(i32.load16(get(AT), place * 2), place, PAIRS),
)

const throughBlock = (body: Code, stepBytes: number): Code =>
  doWhile(
    [...body, ...set(AT, i32.add(get(AT), i32.constant(stepBytes)))],
    i32.below(get(AT), get(END)),
  )

const stateAt = (vector: number): number => LANE_STATE.begin + vector * VECTOR_BYTES
const withState = (body: Code): Code => [
  ...STATE.flatMap((local, i) => set(local, v128.load(i32.constant(0), stateAt(i)))),
  ...body,
  ...STATE.flatMap((local, i) => v128.store(i32.constant(0), stateAt(i), get(local))),
]

const BODIES = {
  addF64: withState(throughBlock(FOUR_F64, 32)),
  addF32: withState(throughBlock(FOUR_F32, 16)),
  addBF16: withState(throughBlock(FOUR_BF16, 8)),
  addF16: [...F16_CONSTANTS, ...withState(throughBlock(FOUR_F16, 8))],
  countBytes: throughBlock(FOUR_BYTES, 4),
  countPairs: throughBlock(FOUR_PAIRS, 8),
}

export function createSummingKernel(): SummingKernel {
  const memory = new WebAssembly.Memory({ initial: MEMORY_PAGES })
  const locals = { integers: INTEGERS, vectors: VECTORS }
  const functions = Object.entries(BODIES).map(([name, body]) => ({ name, body, ...locals }))
  const module = new WebAssembly.Module(moduleOf(functions))
  const { exports } = new WebAssembly.Instance(module, { js: { memory } })
  const { addF64, addF32, addBF16, addF16, countBytes, countPairs } = exports
  if (!addF64 || !addF32 || !addBF16 || !addF16 || !countBytes || !countPairs)
    throw new Error('the kernel lacks a function of its own')
  return { memory: memory.buffer, addF64, addF32, addBF16, addF16, countBytes, countPairs }
}
