import { createByteCounts } from './byte-counts.ts'
import { createLaneSums } from './lane-sums.ts'
import { BYTE_FLOATS, createDecoder } from './small-floats.ts'
import { BLOCK_BYTES, createSummingKernel } from './summing-kernel.ts'
import type { Tally } from './tally.ts'

/*
 * The order of every sum, so that the same tensor has the same statistics to the last bit, wherever it lies in a file
 * and however the file is cut. docs/statistics.md tells it to readers.
 *
 *   F64, F32, BF16, F16  blocks of 8192 elements from the tensor's first, the last one shorter; in a block four lanes,
 *                        lane j adding elements j, j + 4, j + 8 …; the block's sum is
 *                        (lane 0 + lane 1) + (lane 2 + lane 3); the sums of blocks are added in their order
 *   F8                   count × value of each code that occurs, codes ascending as unsigned integers
 */
const LANE_BLOCK_ELEMENTS = 8192

/** How tensors of one dtype are added up. */
export interface Summing {
  /** How much of the block is filled before it is added. */
  readonly blockBytes: number
  /** Adds the elements in the block's first `bytes`; of a tensor of so many bytes. */
  readonly add: (tally: Tally, bytes: number, tensorBytes: number) => void
  /** At a tensor's end: from here on the tally holds all that was added. */
  readonly settle: (tally: Tally) => void
}

/** Whoever sums up in the unit's memory, and how much of the block it has filled. */
interface User {
  readonly filledBytes: () => number
}

/** What a thread sums up with. Tensors of several files may be under way, but one of each file. */
export interface SummingUnit {
  /** Where the elements to add have to lie. */
  readonly block: Buffer
  readonly summingOf: (dtype: string) => Summing | undefined
  /** Puts aside what another user has begun, and takes up again what this one had. */
  readonly enter: (user: User) => void
  /** Whatever it had begun is forgotten. */
  readonly leave: (user: User) => void
}

const LANE_FLOATS = { F64: 8, F32: 4, BF16: 2, F16: 2 } as const

/** Complex numbers have no statistics, nor have F6 and F4, which are packed across bytes. */
export const FLOATING: ReadonlySet<string> = new Set([...Object.keys(LANE_FLOATS), ...BYTE_FLOATS])

export function createSummingUnit(): SummingUnit {
  const kernel = createSummingKernel()
  const block = Buffer.from(kernel.memory, 0, BLOCK_BYTES)
  const counts = createByteCounts(kernel)
  const aside = new Map<User, { readonly begun: Uint8Array; readonly counted: Float64Array }>()
  let current: User | undefined

  function inLanes(dtype: keyof typeof LANE_FLOATS): Summing {
    const elementBytes = LANE_FLOATS[dtype]
    const addElements = createLaneSums(kernel, dtype)
    return {
      blockBytes: LANE_BLOCK_ELEMENTS * elementBytes,
      add: (tally, bytes) => {
        addElements(tally, bytes / elementBytes)
      },
      settle: () => undefined,
    }
  }

  function byCode(dtype: (typeof BYTE_FLOATS)[number]): Summing {
    const valueOf = createDecoder(dtype)
    return {
      blockBytes: BLOCK_BYTES,
      add: (_, bytes, tensorBytes) => {
        counts.count(bytes, tensorBytes)
      },
      settle: (tally) => {
        counts.settle(tally, valueOf)
      },
    }
  }

  const summings = new Map<string, Summing>([
    ['F64', inLanes('F64')],
    ['F32', inLanes('F32')],
    ['BF16', inLanes('BF16')],
    ['F16', inLanes('F16')],
    ...BYTE_FLOATS.map((dtype) => [dtype, byCode(dtype)] as const),
  ])

  function putAside(user: User): void {
    const begun = Uint8Array.from(block.subarray(0, user.filledBytes()))
    aside.set(user, { begun, counted: counts.takeOut() })
  }

  return {
    block,
    summingOf: (dtype) => summings.get(dtype),
    enter: (user) => {
      if (current === user) return
      if (current !== undefined) putAside(current)
      current = user
      const own = aside.get(user)
      if (own === undefined) return
      aside.delete(user)
      block.set(own.begun)
      counts.putBack(own.counted)
    },
    leave: (user) => {
      aside.delete(user)
      if (current !== user) return
      current = undefined
      counts.takeOut()
    },
  }
}
