import { STATISTICS } from '../../db/ledger.ts'
import type { HeaderColumns } from '../safetensors/columns.ts'
import { DTYPES } from '../safetensors/dtypes.ts'
import { FLOATING, type Summing, type SummingUnit } from './summing.ts'
import { createTally, type Tally, writeTally } from './tally.ts'
import { createTensorParts } from './tensor-parts.ts'

/** The statistics of each floating tensor of a file, while the file's bytes go by in order. */
export interface Statistics {
  /** `position`: of the first byte, absolute in the file; calls go forward without gaps over the data. */
  readonly update: (bytes: Uint8Array, position: number) => void
  /** As TensorColumns holds them, once all has gone by. */
  readonly column: Float64Array<ArrayBuffer>
  /** Lets go of the unit, done or not. */
  readonly end: () => void
}

interface OpenTensor {
  readonly summing: Summing
  readonly tally: Tally
  readonly bytes: number
}

/** `begins` and `ends` are absolute byte offsets that tile the data (the validator's promise), in any order. */
export function createStatistics(
  { begins, ends, dtypes }: Pick<HeaderColumns, 'begins' | 'ends' | 'dtypes'>,
  unit: SummingUnit,
): Statistics {
  const { block } = unit
  const column = new Float64Array(begins.length * STATISTICS).fill(NaN)
  let open: OpenTensor | undefined
  let filled = 0
  const user = { filledBytes: () => filled }

  const isFloating = (tensor: number): boolean => hasStatistics(dtypes[tensor])
  for (let i = 0; i < begins.length; i++)
    if (begins[i] === ends[i] && isFloating(i)) writeTally(createTally(), column, i)

  function openTensor(tensor: number): OpenTensor {
    const summing = unit.summingOf(DTYPES[dtypes[tensor] ?? -1]?.name ?? '')
    if (summing === undefined) throw new Error('a tensor without statistics was opened')
    const bytes = (ends[tensor] ?? 0) - (begins[tensor] ?? 0)
    return { summing, tally: createTally(), bytes }
  }

  function addBlock({ summing, tally, bytes }: OpenTensor): void {
    summing.add(tally, filled, bytes)
    filled = 0
  }

  function take(tensor: number, bytes: Buffer, from: number, to: number, isLast: boolean): void {
    open ??= openTensor(tensor)
    const { summing, tally } = open
    const { blockBytes } = summing
    for (let at = from; at < to;) {
      const copied = bytes.copy(block, filled, at, Math.min(to, at + blockBytes - filled))
      at += copied
      filled += copied
      if (filled === blockBytes) addBlock(open)
    }
    if (!isLast) return
    if (filled > 0) addBlock(open)
    summing.settle(tally)
    writeTally(tally, column, tensor)
    open = undefined
  }

  const cut = createTensorParts(begins, ends, isFloating, take)
  return {
    column,
    update: (bytes, position) => {
      unit.enter(user)
      // A Buffer's copy is a memmove. TypedArray.set out of shared memory takes four times as long, ten where unaligned.
      cut(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), position)
    },
    end: () => {
      unit.leave(user)
    },
  }
}

const IS_FLOATING = DTYPES.map(({ name }) => FLOATING.has(name))

/** By a dtype's code in the header's columns. */
export const hasStatistics = (dtype: number | undefined): boolean =>
  IS_FLOATING[dtype ?? -1] === true
