// Which bytes of a wanted file lie in files that the caller has:
//
//   wanted     | header | t1 ……… | t2 ……………… | t3 … | t4 ………… |      tensors and leaves, each with its SHA-256
//   base                | t1 ……… |            t3 … | t4 ………… |       wherever they lie there
//   plan       | fetch  | copy   | fetch       | copy            |
//
// A plan decides only where bytes come from. Whether they are right is seen when they are there.

import { type FindSame, indexPieces, type Pieces } from './pieces.ts'

/** Bytes `begin` to `end` of the wanted file are those of base file `file` from `at` on. */
export interface Segment {
  readonly begin: number
  readonly end: number
  readonly file: number
  readonly at: number
}

/** To be copied, or without a segment to be fetched. */
export interface Step {
  readonly begin: number
  readonly end: number
  readonly segment: Segment | undefined
}

/** Fewer bytes than this between two gaps cost less to fetch than another request does. */
const LEAST_RUN_BYTES = 64 * 1024
/** However finely a file is cut up, so many requests have to do: the longest runs are worth most. */
const MOST_RUNS = 4096

export type Plan = (wanted: Pieces) => readonly Segment[]

/** Plans for wanted files, whose pieces are those of one file each; segments are in order and apart. */
export function planFrom(base: Pieces): Plan {
  const find = indexPieces(base)
  return (wanted) => withoutShortRuns(coalesced(wanted, base, find))
}

/** Matches in order of their place; where leaf and tensor overlap, the later one gives what the earlier did not. */
function coalesced(wanted: Pieces, base: Pieces, find: FindSame): readonly Segment[] {
  const { found, source } = matches(wanted, find)
  const segments: Segment[] = []
  let covered = 0
  for (const i of found.sort((a, b) => (wanted.begins[a] ?? 0) - (wanted.begins[b] ?? 0))) {
    const begin = Math.max(covered, wanted.begins[i] ?? 0)
    const end = wanted.ends[i] ?? 0
    if (begin >= end) continue
    covered = end
    const same = source[i] ?? 0
    const file = base.files[same] ?? 0
    const at = (base.begins[same] ?? 0) + begin - (wanted.begins[i] ?? 0)
    const last = segments.at(-1)
    const continues =
      last?.end === begin && last.file === file && last.at + begin - last.begin === at
    if (continues) segments[segments.length - 1] = { ...last, end }
    else segments.push({ begin, end, file, at })
  }
  return segments
}

/** Indices of pieces that the base has, and for each piece of these the one of the base. */
function matches(
  wanted: Pieces,
  find: FindSame,
): { readonly found: Uint32Array; readonly source: Uint32Array } {
  const found = new Uint32Array(wanted.count)
  const source = new Uint32Array(wanted.count)
  let count = 0
  for (let i = 0; i < wanted.count; i += 1) {
    const same = find(wanted, i)
    if (same === undefined) continue
    source[i] = same
    found[count] = i
    count += 1
  }
  return { found: found.subarray(0, count), source }
}

/** Less the runs that aren't worth the request that fetches what is behind them. */
export function withoutShortRuns(segments: readonly Segment[]): readonly Segment[] {
  const runs = runsOf(segments).filter(({ bytes }) => bytes >= LEAST_RUN_BYTES)
  const longest = new Set(runs.toSorted((a, b) => b.bytes - a.bytes).slice(0, MOST_RUNS))
  return runs
    .filter((run) => longest.has(run))
    .flatMap(({ first, count }) => segments.slice(first, first + count))
}

interface Run {
  /** Index of its first segment. */
  readonly first: number
  count: number
  bytes: number
}

/** Segments one right after the other. */
function runsOf(segments: readonly Segment[]): readonly Run[] {
  const runs: Run[] = []
  segments.forEach(({ begin, end }, i) => {
    const run = runs.at(-1)
    if (run !== undefined && segments[i - 1]?.end === begin) {
      run.count += 1
      run.bytes += end - begin
    } else runs.push({ first: i, count: 1, bytes: end - begin })
  })
  return runs
}

/** The segments less what they say of `begin` to `end`. */
export const without = (
  segments: readonly Segment[],
  begin: number,
  end: number,
): readonly Segment[] =>
  segments.flatMap((segment) => {
    if (segment.end <= begin || segment.begin >= end) return [segment]
    const before = segment.begin < begin ? [{ ...segment, end: begin }] : []
    const after =
      segment.end > end ? [{ ...segment, begin: end, at: segment.at + end - segment.begin }] : []
    return [...before, ...after]
  })

/** How the bytes from `begin` to `size` come, in order and without a gap. */
export function* stepsOf(
  segments: readonly Segment[],
  begin: number,
  size: number,
): Generator<Step, void, undefined> {
  let position = begin
  for (const segment of segments) {
    if (segment.end <= position) continue
    if (segment.begin > position) yield { begin: position, end: segment.begin, segment: undefined }
    const from = Math.max(position, segment.begin)
    yield { begin: from, end: segment.end, segment }
    position = segment.end
  }
  if (position < size) yield { begin: position, end: size, segment: undefined }
}
