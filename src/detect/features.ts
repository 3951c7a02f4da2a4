import type { Encoded } from './tokenizer/encoded.ts'

// What a piece no longer tells, since the vocabulary has folded it away: how it is written (case, digits, punctuation)
// and what stands before it. docs/detector-format.md has the numbers; models are trained on exactly these.

const DIGITS = /^\p{Nd}+$/u
const LETTER_OR_NUMBER = /[\p{L}\p{N}]/u
const LOWER = /\p{Ll}/u
const CAPITAL = /[\p{Lu}\p{Lt}]/u
const ONE_CAPITAL = /^[\p{Lu}\p{Lt}]$/u
const TITLE = /^[\p{Lu}\p{Lt}][^\p{Lu}\p{Lt}]*$/u

/** One feature a piece: 4 · shape + gap. */
export function featuresOf(text: string, { starts, ends }: Encoded): Uint8Array {
  let read = 0
  return Uint8Array.from(starts, (start, i) => {
    const end = ends[i] ?? start
    const feature = 4 * shapeOf(text.slice(start, end)) + gapOf(text.slice(read, start))
    read = Math.max(read, end)
    return feature
  })
}

function shapeOf(piece: string): number {
  if (piece === '') return 0
  if (DIGITS.test(piece)) return 5
  if (!LETTER_OR_NUMBER.test(piece)) return 6
  const hasLower = LOWER.test(piece)
  const hasCapital = CAPITAL.test(piece)
  if (hasLower && !hasCapital) return 1
  if (ONE_CAPITAL.test(piece)) return 8
  if (hasCapital && !hasLower) return 3
  if (TITLE.test(piece)) return 2
  return hasCapital || hasLower ? 4 : 7
}

function gapOf(between: string): number {
  if (between === '') return 0
  if (between.includes('\n')) return 2
  return between.length === 1 || (between.length === 2 && (between.codePointAt(0) ?? 0) > 0xffff)
    ? 1
    : 3
}
