import type { LatentShare } from '../detection.ts'
import type { Category, Span } from '../detector.ts'

/** Latents told of one span. */
const TOLD = 5
/** Kept of one piece: of a SAE whose latents are hardly sparse, the strongest. */
const KEPT = 256

interface Active {
  readonly rows: Uint32Array
  readonly activations: Float32Array
}

/** The active latents of a text's pieces, kept until its spans are known. */
export interface Latents {
  /** @param values of all rows of the SAE. */
  readonly keep: (piece: number, values: Float32Array) => void
  /** Those that speak most for a span's category, strongest first, each with its highest activation in the span. */
  readonly strongest: (
    category: Category,
    pieces: { readonly begin: number; readonly end: number },
  ) => readonly LatentShare[]
}

/**
 * @param weightOf how a row speaks for a category.
 * @param latentOf the number of a row in the whole SAE.
 */
export function createLatents(
  weightOf: (category: Category, row: number) => number,
  latentOf: (row: number) => number,
): Latents {
  const byPiece = new Map<number, Active>()
  return {
    keep: (piece, values) => {
      byPiece.set(piece, activeOf(values))
    },
    strongest: (category, { begin, end }) => {
      const highest = new Map<number, number>()
      for (let piece = begin; piece < end; piece++) {
        const { rows, activations } = byPiece.get(piece) ?? NOTHING
        rows.forEach((row, i) => {
          const activation = activations[i] ?? 0
          if (activation > (highest.get(row) ?? 0)) highest.set(row, activation)
        })
      }
      return [...highest]
        .map(([row, activation]) => ({
          latent: latentOf(row),
          activation,
          weight: weightOf(category, row),
        }))
        .filter(({ weight }) => weight > 0)
        .sort((a, b) => b.activation * b.weight - a.activation * a.weight)
        .slice(0, TOLD)
    },
  }
}

const NOTHING: Active = { rows: new Uint32Array(0), activations: new Float32Array(0) }

function activeOf(values: Float32Array): Active {
  const rows: number[] = []
  values.forEach((value, row) => {
    if (value > 0) rows.push(row)
  })
  const activation = (row: number): number => values[row] ?? 0
  if (rows.length > KEPT) {
    rows.sort((a, b) => activation(b) - activation(a))
    rows.length = KEPT
  }
  return { rows: Uint32Array.from(rows), activations: Float32Array.from(rows, activation) }
}

/** Pieces, of those with ascending ranges, that lie in a span at least in part. */
export function piecesIn(
  { start, end }: Span,
  starts: Int32Array,
  ends: Int32Array,
): { readonly begin: number; readonly end: number } {
  let begin = 0
  while (begin < ends.length && (ends[begin] ?? 0) <= start) begin += 1
  let last = begin
  while (last < starts.length && (starts[last] ?? 0) < end) last += 1
  return { begin, end: last }
}
