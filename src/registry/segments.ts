import type { VersionFile } from '../../db/ledger.ts'
import type { Runs } from '../safetensors/strides.ts'
import type { BlobCover } from '../vault/gather.ts'
import type { ReadContext } from '../vault/read-verified.ts'

/** Bytes `begin` to `end` of a file, which begin at byte `at` of the whole. */
interface Segment {
  readonly file: VersionFile
  readonly context: ReadContext
  readonly begin: number
  readonly end: number
  readonly at: number
}

/** Parts of files, one after the other, as one text that has a beginning and an end. */
export interface Segments {
  readonly add: (file: VersionFile, context: ReadContext, begin: number, end: number) => void
  readonly count: () => number
  readonly covers: (begin: number, end: number) => Iterable<BlobCover>
}

export function createSegments(): Segments {
  const segments: Segment[] = []
  let size = 0

  /** The last segment that begins at or before a byte of the whole. */
  function indexAt(position: number): number {
    let low = 0
    let high = segments.length
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if ((segments[middle]?.at ?? Infinity) <= position) low = middle
      else high = middle
    }
    return low
  }

  /** Segments from `first` on that are worth reading as one: no gap between them skips a whole chunk. */
  function lastOfCover(first: number, before: number): number {
    let last = first
    for (;;) {
      const [segment, next] = [segments[last], segments[last + 1]]
      if (segment === undefined || next === undefined || next.at >= before) return last
      const gap = next.begin - segment.end
      if (next.file !== segment.file || gap < 0 || gap >= segment.file.blob.chunkSize) return last
      last += 1
    }
  }

  function* runsOf(first: number, last: number, begin: number, end: number): Generator<Runs> {
    for (let i = first; i <= last; i++) {
      const segment = segments[i]
      if (segment === undefined) return
      const { from, to } = within(segment, begin, end)
      yield { from, length: to - from, stride: to - from, count: 1 }
    }
  }

  return {
    add(file, context, begin, end) {
      const last = segments.at(-1)
      const at = size
      size += end - begin
      if (begin === end) return
      if (last?.file === file && last.end === begin)
        segments[segments.length - 1] = { ...last, end }
      else segments.push({ file, context, begin, end, at })
    },
    count: () => segments.length,
    *covers(begin, end) {
      if (begin >= end) return
      for (let first = indexAt(begin); ;) {
        const last = lastOfCover(first, end)
        const [one, other] = [segments[first], segments[last]]
        if (one === undefined || other === undefined || one.at >= end) return
        const { file, context } = one
        yield {
          blob: file.blob,
          context,
          begin: within(one, begin, end).from,
          end: within(other, begin, end).to,
          runs: runsOf(first, last, begin, end),
        }
        first = last + 1
      }
    },
  }
}

/** The bytes of its file that a segment has of `begin` to `end` of the whole. */
const within = (
  segment: Segment,
  begin: number,
  end: number,
): { readonly from: number; readonly to: number } => ({
  from: segment.begin + Math.max(0, begin - segment.at),
  to: Math.min(segment.end, segment.begin + end - segment.at),
})
