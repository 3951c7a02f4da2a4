// The Range header, RFC 9110 §14. A caller controls every character of it; all of this is linear in its length.

import { trimOws } from './ows.ts'

/** Bytes of a file; `end` is exclusive, and 0 ≤ begin < end ≤ size. */
export interface ByteRange {
  readonly begin: number
  readonly end: number
}

export type RangeOutcome =
  /** No Range, one to be ignored, or more work than a caller may ask for: 200. */
  | { readonly kind: 'whole' }
  /** 416. */
  | { readonly kind: 'unsatisfiable' }
  /** 206: 1 to 16 that don't overlap, in the order in which they were asked for. */
  | { readonly kind: 'ranges'; readonly ranges: readonly ByteRange[] }

const MAX_RANGES = 16

const WHOLE: RangeOutcome = { kind: 'whole' }

/** One range-spec as it was written: digits, or nothing on one side of the hyphen. */
interface RangeSpec {
  readonly first: string
  readonly last: string
}

/** Order of two decimal numbers of any length, exactly. */
function compareDigits(a: string, b: string): number {
  const x = a.replace(/^0+/, '')
  const y = b.replace(/^0+/, '')
  if (x.length !== y.length) return x.length - y.length
  return x < y ? -1 : Number(x > y)
}

/** Undefined for anything that isn't an int-range or a suffix-range (§14.1.1); `500-0` isn't one. */
function parseSpec(text: string): RangeSpec | undefined {
  const [, first, last] = /^([0-9]*)-([0-9]*)$/.exec(text) ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  if (first !== '' && last !== '' && compareDigits(first, last) > 0) return undefined
  return { first, last }
}

/** Undefined when no byte of the file is in it. A number beyond 2^53 loses digits here, but stays beyond any size. */
function locate({ first, last }: RangeSpec, size: number): ByteRange | undefined {
  const begin = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size : Math.min(size, Number(last) + 1)
  return begin < end ? { begin, end } : undefined
}

function overlap(ranges: readonly ByteRange[]): boolean {
  const ordered = ranges.toSorted((a, b) => a.begin - b.begin)
  return ordered.some((range, i) => range.begin < (ordered[i - 1]?.end ?? 0))
}

/**
 * What a GET with this Range header answers about a file of `size` bytes. Never throws: what isn't a valid range of
 * bytes is ignored (§14.2), empty list members are skipped (§5.6.1), and members beyond the file are dropped while
 * any is satisfiable.
 */
export function parseRange(header: string | undefined, size: number): RangeOutcome {
  const equals = header?.indexOf('=') ?? -1
  if (header === undefined || !/^bytes$/i.test(header.slice(0, Math.max(0, equals)))) return WHOLE
  const members = header
    .slice(equals + 1)
    .split(',')
    .map(trimOws)
    .filter((member) => member !== '')
  if (members.length === 0 || members.length > MAX_RANGES) return WHOLE
  const specs = members.map(parseSpec)
  if (!specs.every((spec) => spec !== undefined)) return WHOLE
  const ranges = specs.map((spec) => locate(spec, size)).filter((range) => range !== undefined)
  if (ranges.length === 0) return { kind: 'unsatisfiable' }
  return overlap(ranges) ? WHOLE : { kind: 'ranges', ranges }
}

/** The Content-Range of a 206, whose `last-pos` is inclusive (§14.4). */
export function formatContentRange({ begin, end }: ByteRange, size: number): string {
  return `bytes ${begin}-${end - 1}/${size}`
}
