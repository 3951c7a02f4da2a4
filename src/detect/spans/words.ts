import type { Category } from '../detector.ts'
import type { Encoded } from '../tokenizer/encoded.ts'
import type { CategoryScores } from './scores.ts'

/** Pieces that are judged together, and how. */
export interface Word {
  readonly start: number
  readonly end: number
  readonly pieces: number
  /** The category that is likelier than the others and than none; undefined where there is none such. */
  readonly category: Category | undefined
  /** Of that category, the mean over the pieces. */
  readonly probability: number
  /** Of that category, what the first piece says. */
  readonly beginShare: number
}

// Scripts that put no space between words: there a piece is all that we know of a word, but in katakana, whose runs are
// words.
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u
const KATAKANA = /[\p{Script=Katakana}ー]/u
const LETTER = /[\p{L}\p{M}]/u
const NUMBER = /\p{N}/u

/** Pieces without a range take part in no word. */
export function wordsOf(text: string, encoded: Encoded, scores: readonly CategoryScores[]): Word[] {
  const pieces = Array.from(encoded.pieces.keys()).filter(
    (i) => (encoded.starts[i] ?? 0) < (encoded.ends[i] ?? 0),
  )
  const words: Word[] = []
  for (let from = 0; from < pieces.length;) {
    let to = from + 1
    while (to < pieces.length && isGlued(text, encoded, pieces[to - 1] ?? 0, pieces[to] ?? 0))
      to += 1
    const group = pieces.slice(from, to)
    const own = hasForeignGenitive(text, encoded, group, scores) ? group.slice(0, -1) : group
    words.push(judged(encoded, own, scores))
    from += own.length
  }
  return words
}

/** Do two neighbouring pieces belong to one word? */
function isGlued(text: string, { starts, ends }: Encoded, before: number, after: number): boolean {
  const cut = ends[before] ?? 0
  const start = starts[after] ?? 0
  // One code point that was read as several has pieces that share it.
  if (start < cut) return true
  if (start > cut) return false
  const left = kindOf(characterBefore(text, cut))
  return left !== undefined && left === kindOf(characterAt(text, cut))
}

function kindOf(character: string): 'number' | 'katakana' | 'spaced' | undefined {
  if (NUMBER.test(character)) return 'number'
  if (KATAKANA.test(character)) return 'katakana'
  return LETTER.test(character) && !UNSPACED.test(character) ? 'spaced' : undefined
}

function characterAt(text: string, at: number): string {
  return String.fromCodePoint(text.codePointAt(at) ?? 0)
}

function characterBefore(text: string, at: number): string {
  const low = text.charCodeAt(at - 1)
  const isPair = low >= 0xdc00 && low <= 0xdfff && (text.codePointAt(at - 2) ?? 0) > 0xffff
  return isPair ? text.slice(at - 2, at) : text.charAt(at - 1)
}

/** German's genitive: in `Annas Laptop` the s isn't the name's, where the pieces tell them apart. */
function hasForeignGenitive(
  text: string,
  { starts, ends }: Encoded,
  group: readonly number[],
  scores: readonly CategoryScores[],
): boolean {
  const last = group.at(-1)
  const names = scores.find(({ category }) => category === 'personal_name')?.probability
  if (group.length < 2 || last === undefined || names === undefined) return false
  if (text.slice(starts[last], ends[last]) !== 's') return false
  return (names[last] ?? 0) < 0.5 && mean(names, group.slice(0, -1)) >= 0.5
}

function judged(
  { starts, ends }: Encoded,
  pieces: readonly number[],
  scores: readonly CategoryScores[],
): Word {
  const first = pieces[0] ?? 0
  let none = 1
  let best: CategoryScores | undefined
  let probability = 0
  for (const each of scores) {
    const value = mean(each.probability, pieces)
    none -= value
    if (value <= probability) continue
    best = each
    probability = value
  }
  const isNone = best === undefined || probability <= none
  return {
    start: starts[first] ?? 0,
    end: ends[pieces.at(-1) ?? 0] ?? 0,
    pieces: pieces.length,
    category: isNone ? undefined : best?.category,
    probability,
    beginShare: best?.beginShare[first] ?? 0,
  }
}

function mean(values: Float32Array, pieces: readonly number[]): number {
  return pieces.reduce((sum, i) => sum + (values[i] ?? 0), 0) / pieces.length
}
