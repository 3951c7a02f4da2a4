// Where the bytes of a slice lie in its file. They are runs of one length, in levels of loops around them: neither
// the runs nor their number, which may be in the billions, are ever written out.
//
//     [levels 0 … cover)   each turn is a cover of its own, a stretch of the file that is worth reading as one
//     [cover … last]       the runs inside a cover, with gaps that skip no whole chunk
//     run                  contiguous bytes

import { type Slice, SliceError } from './slice.ts'

/** `count` stretches of `length` bytes each, which begin `stride` bytes apart from `from` on. */
export interface Runs {
  readonly from: number
  readonly length: number
  readonly stride: number
  readonly count: number
}

/** A stretch of a file and the runs to take from it, in order, none before the one before it. */
export interface Cover {
  readonly begin: number
  readonly end: number
  readonly runs: Iterable<Runs>
}

interface Level {
  readonly count: number
  readonly stride: number
}

/** The bytes of a slice, as one text that has a beginning and an end. */
export interface SliceBytes {
  readonly size: number
  /** Bytes `begin` to `end` of the slice. No cover holds a gap of `gapBytes` or more. */
  covers(begin: number, end: number, gapBytes: number): Iterable<Cover>
}

/**
 * The bytes of a slice of a tensor that begins at byte `begin` of its file, each element `bits` wide.
 *
 * @throws {SliceError} `not_on_bytes`.
 */
export function bytesOfSlice(
  { taken }: Slice,
  shape: readonly number[],
  bits: number,
  begin: number,
): SliceBytes {
  if (taken.some(({ count }) => count === 0)) return { size: 0, covers: () => [] }
  // Elements of less than a byte are laid out in bits first.
  const units = bits % 8 === 0 ? 1 : 8
  const levels: Level[] = []
  let run = bits / (8 / units)
  let offset = 0
  let stride = run
  for (let dimension = taken.length - 1; dimension >= 0; dimension--) {
    const { start, step, count } = taken[dimension] ?? { start: 0, step: 1, count: 1 }
    offset += start * stride
    const inner = levels.at(-1) ?? { count: run, stride: 1 }
    if (count > 1 && step * stride === inner.count * inner.stride) {
      // Evenly spaced beyond the inner loop: one loop does for both.
      if (levels.pop() === undefined) run *= count
      else levels.push({ count: inner.count * count, stride: inner.stride })
    } else if (count > 1) {
      levels.push({ count, stride: step * stride })
    }
    stride *= shape[dimension] ?? 1
  }
  if ([run, offset, ...levels.map((level) => level.stride)].some((each) => each % units !== 0)) {
    const cut = taken.findLastIndex(({ count }, dimension) => count !== shape[dimension])
    throw new SliceError('not_on_bytes', cut, `its elements of ${bits} bits don't fill bytes`)
  }
  return stridedBytes(
    begin + offset / units,
    run / units,
    levels.map(({ count, stride }) => ({ count, stride: stride / units })).reverse(),
  )
}

function stridedBytes(base: number, run: number, levels: readonly Level[]): SliceBytes {
  const size = levels.reduce((bytes, { count }) => bytes * count, run)
  const innermost = levels.at(-1) ?? { count: 1, stride: run }

  /** Where a byte of the slice lies in the file. */
  function locate(position: number): number {
    let index = Math.floor(position / run)
    let at = base + (position - index * run)
    for (let i = levels.length - 1; i >= 0; i--) {
      const { count, stride } = levels[i] ?? innermost
      at += (index % count) * stride
      index = Math.floor(index / count)
    }
    return at
  }

  function* runs(begin: number, end: number): Generator<Runs> {
    let at = begin
    while (at < end) {
      const inside = at % run
      const from = locate(at)
      if (inside > 0 || end - at < run) {
        const length = Math.min(run - inside, end - at)
        yield { from, length, stride: length, count: 1 }
        at += length
      } else {
        const turn = (at / run) % innermost.count
        const count = Math.min(innermost.count - turn, Math.floor((end - at) / run))
        yield { from, length: run, stride: innermost.stride, count }
        at += count * run
      }
    }
  }

  /** Bytes of the slice in one cover. */
  function coverBytes(gapBytes: number): number {
    let bytes = run
    let extent = run
    for (const { count, stride } of levels.toReversed()) {
      if (stride - extent >= gapBytes) break
      bytes *= count
      extent += (count - 1) * stride
    }
    return bytes
  }

  return {
    size,
    *covers(begin, end, gapBytes) {
      const bytes = coverBytes(gapBytes)
      for (let at = begin; at < end;) {
        const next = Math.min((Math.floor(at / bytes) + 1) * bytes, end)
        yield { begin: locate(at), end: locate(next - 1) + 1, runs: runs(at, next) }
        at = next
      }
    },
  }
}
