// Python's basic slicing, as NumPy and PyTorch read it, without steps below 1 and without `None`:
//
//     slice = part *( "," part ) [ "," ]          part = integer / "..." / [integer] ":" [integer] [ ":" [integer] ]
//
// A caller controls every character of it.

/** What a slice takes of one dimension: `count` indices from `start` on, `step` apart. */
export interface Taken {
  readonly start: number
  readonly step: number
  readonly count: number
}

export interface Slice {
  /** One a dimension of the tensor. Two slices that take the same indices are spelled the same here. */
  readonly taken: readonly Taken[]
  /** Of the result: a dimension that was given an integer is gone. */
  readonly shape: readonly number[]
}

/** `not_on_bytes`: it is a slice, but elements of less than a byte don't end where it does. */
type SliceProblem = 'invalid' | 'not_on_bytes'

export class SliceError extends Error {
  override readonly name = 'SliceError'
  readonly problem: SliceProblem
  /** Of the tensor, counted from 0; its rank when the slice has more parts than that. */
  readonly dimension: number

  constructor(problem: SliceProblem, dimension: number, sentence: string) {
    super(`dimension ${dimension}: ${sentence}`)
    this.problem = problem
    this.dimension = dimension
  }
}

/** 64 dimensions, each with three numbers of 16 digits, and some spaces. */
const MAX_CHARACTERS = 4096
/** No dimension has more; a number beyond 2^53 loses digits, but stays beyond every dimension. */
const INTEGER = /^-? *(?:0|[1-9][0-9]{0,15})$/

/**
 * Reads a slice of a tensor of that shape. As in Python, dimensions that it doesn't reach are taken whole and
 * the bounds of `a:b` are clamped, while an integer must lie inside its dimension. An empty text is no slice.
 *
 * @throws {SliceError} `invalid`, naming the dimension.
 */
export function parseSlice(text: string, shape: readonly number[]): Slice {
  const parts = partsOf(text, shape.length)
  const taken: Taken[] = []
  const result: number[] = []
  shape.forEach((size, dimension) => {
    const part = parts[dimension]
    if (part !== undefined && !part.includes(':')) {
      taken.push({ start: indexOf(part, size, dimension), step: 1, count: 1 })
      return
    }
    const one = part === undefined ? whole(size) : spanOf(part, size, dimension)
    taken.push(one)
    result.push(one.count)
  })
  return { taken, shape: result }
}

/** The part that each dimension was given; undefined for one that is taken whole. */
function partsOf(text: string, rank: number): readonly (string | undefined)[] {
  if (text.length > MAX_CHARACTERS) throw invalid(0, `more than ${MAX_CHARACTERS} characters`)
  const parts = text.split(',').map((part) => part.trim())
  if (parts.length > 1 && parts.at(-1) === '') parts.pop()
  const ellipsis = parts.indexOf('...')
  if (ellipsis !== parts.lastIndexOf('...')) throw invalid(ellipsis, '"..." stands only once')
  if (ellipsis === -1) {
    checkRank(parts.length, rank)
    return parts
  }
  const named = parts.length - 1
  checkRank(named, rank)
  const skipped = Array.from({ length: rank - named }, () => undefined)
  return [...parts.slice(0, ellipsis), ...skipped, ...parts.slice(ellipsis + 1)]
}

function checkRank(parts: number, rank: number): void {
  if (parts > rank) throw invalid(rank, `the tensor has ${rank}, and the slice is of ${parts}`)
}

function indexOf(part: string, size: number, dimension: number): number {
  const index = integerOf(part, dimension)
  const at = index < 0 ? index + size : index
  if (at < 0 || at >= size) throw invalid(dimension, `${index} is out of bounds for size ${size}`)
  return at
}

function spanOf(part: string, size: number, dimension: number): Taken {
  const bounds = part.split(':').map((bound) => bound.trim())
  if (bounds.length > 3) throw invalid(dimension, 'a slice has at most two colons')
  const [from, to, by] = bounds.map((bound) =>
    bound === '' ? undefined : integerOf(bound, dimension),
  )
  const step = by ?? 1
  if (step < 1) throw invalid(dimension, `the step is ${step}, and must be 1 or more`)
  const start = clamped(from ?? 0, size)
  const count = Math.max(0, Math.ceil((clamped(to ?? size, size) - start) / step))
  if (count === 0) return { start: 0, step: 1, count }
  return { start, step: count === 1 ? 1 : step, count }
}

const whole = (size: number): Taken => ({ start: 0, step: 1, count: size })

const clamped = (bound: number, size: number): number =>
  bound < 0 ? Math.max(0, bound + size) : Math.min(bound, size)

function integerOf(text: string, dimension: number): number {
  if (!INTEGER.test(text))
    throw invalid(
      dimension,
      'must be integers of at most 16 digits, with ":" between them, or "..."',
    )
  // Without the sign of a zero.
  return Number(text.replaceAll(' ', '')) + 0
}

const invalid = (dimension: number, sentence: string): SliceError =>
  new SliceError('invalid', dimension, sentence)
