import { BLOCK_BYTES, BYTES, PAIRS, type SummingKernel } from './summing-kernel.ts'
import { addExtremes, addNonFinite, type Tally } from './tally.ts'

/** From this size on it pays to count pairs of bytes, and look at all their counters afterwards. */
const LARGE_BYTES = 256 * 1024
/** So that no counter of 32 bits overflows. */
const DRAIN_BYTES = 16 * 1024 * 1024

/** Statistics of 8-bit floats: elements are counted by their code. */
export interface ByteCounts {
  /** Counts the block's first `length` bytes, of a tensor of so many. */
  readonly count: (length: number, tensorBytes: number) => void
  /** Adds what was counted to the tally, codes ascending, and forgets it. */
  readonly settle: (tally: Tally, valueOf: (code: number) => number) => void
  /** Takes out what was counted, for others to count meanwhile. */
  readonly takeOut: () => Float64Array
  readonly putBack: (counts: Float64Array) => void
}

export function createByteCounts({ memory, countBytes, countPairs }: SummingKernel): ByteCounts {
  const block = new Uint8Array(memory, 0, BLOCK_BYTES)
  const counts = new Float64Array(BYTES.codes)
  const addByte = (code: number, times: number): void => {
    counts[code] = (counts[code] ?? 0) + times
  }
  const addPair = (pair: number, times: number): void => {
    addByte(pair & 0xff, times)
    addByte(pair >>> 8, times)
  }
  const bytes = createCounters(memory, BYTES, countBytes, addByte)
  const pairs = createCounters(memory, PAIRS, countPairs, addPair)

  function drain(): void {
    bytes.drain()
    pairs.drain()
  }

  return {
    count: (length, tensorBytes) => {
      const counters = tensorBytes < LARGE_BYTES ? bytes : pairs
      const whole = length - (length % 8)
      counters.count(whole)
      for (let i = whole; i < length; i++) addByte(block[i] ?? 0, 1)
    },
    settle: (tally, valueOf) => {
      drain()
      for (let code = 0; code < counts.length; code++) {
        const times = counts[code] ?? 0
        if (times > 0) addCode(tally, valueOf(code), times)
      }
      counts.fill(0)
    },
    takeOut: () => {
      drain()
      const taken = counts.slice()
      counts.fill(0)
      return taken
    },
    putBack: (taken) => {
      counts.set(taken)
    },
  }
}

interface Counters {
  readonly count: (bytes: number) => void
  readonly drain: () => void
}

/** Two counters a code, whose sums go to `add`. */
function createCounters(
  memory: ArrayBuffer,
  { codes, even, odd }: typeof PAIRS,
  count: (bytes: number) => void,
  add: (code: number, times: number) => void,
): Counters {
  const evens = new Uint32Array(memory, even, codes)
  const odds = new Uint32Array(memory, odd, codes)
  let counted = 0

  function drain(): void {
    if (counted === 0) return
    counted = 0
    for (let code = 0; code < codes; code++) {
      const times = (evens[code] ?? 0) + (odds[code] ?? 0)
      if (times > 0) add(code, times)
    }
    evens.fill(0)
    odds.fill(0)
  }

  return {
    drain,
    count: (length) => {
      if (length > 0) count(length)
      counted += length
      if (counted >= DRAIN_BYTES) drain()
    },
  }
}

/** Both products are exact: eight bits at most, times a number of elements far below 2⁴⁵. */
function addCode(tally: Tally, value: number, times: number): void {
  tally.elements += times
  if (!Number.isFinite(value)) {
    addNonFinite(tally, value, times)
    return
  }
  if (value === 0) tally.zeros += times
  addExtremes(tally, value, value)
  tally.sum += times * value
  tally.squares += times * (value * value)
}
