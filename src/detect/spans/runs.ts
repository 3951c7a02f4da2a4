import type { Category } from '../detector.ts'
import type { Word } from './words.ts'

/** Neighbouring words of one category: a span before the rules. */
export interface Run {
  readonly category: Category
  readonly start: number
  readonly end: number
  readonly pieces: number
  /** The mean over the pieces. */
  readonly probability: number
}

interface Joining {
  /** From this share on, a word that seems to begin a span does. */
  readonly begins: number
  /** What may lie between two words of one span. */
  readonly within: RegExp
  /** What may lie between two runs that are one span all the same, none of it being of the category. */
  readonly across: RegExp
}

const ONE_LINE = /^[^\n\r\t]*$/
const NO_BLANK_LINE = /^(?!\s*\n\s*\n)/

const JOINING: Record<Category, Joining> = {
  personal_name: { begins: 0.5, within: ONE_LINE, across: /^(?:[.·・･＝‐-] ?|['’]|, ?)?$/ },
  // The parts of an address often have a line each, and are apt to look like beginnings.
  address: {
    begins: 0.7,
    within: NO_BLANK_LINE,
    across: /^(?!\s*\n\s*\n)\s*(?:[,.;:/#()〒·‐–—-]\s*){0,4}$/,
  },
  phone: { begins: 0.5, within: ONE_LINE, across: /^[ .\-/()+‐–]{0,3}$/ },
  email: { begins: 0.5, within: /^$/, across: /^$/ },
}

/** In the order of the text; two of them never share a place. */
export function runsOf(text: string, words: readonly Word[]): Run[] {
  const runs: Run[] = []
  let before: Word | undefined
  for (const word of words) {
    const run = runOf(word)
    const last = runs.at(-1)
    if (run !== undefined) {
      const isNext = before?.category === run.category
      if (last !== undefined && isOneSpan(text, last, word, isNext))
        runs[runs.length - 1] = joined(last, run)
      else runs.push(run)
    }
    before = word
  }
  return runs
}

function runOf({ category, start, end, pieces, probability }: Word): Run | undefined {
  return category === undefined ? undefined : { category, start, end, pieces, probability }
}

/** @param isNext whether no other word lies between */
function isOneSpan(text: string, run: Run, word: Word, isNext: boolean): boolean {
  if (run.category !== word.category) return false
  const { begins, within, across } = JOINING[run.category]
  const between = text.slice(run.end, word.start)
  if (between === '' && isNext) return true
  return word.beginShare < begins && (isNext ? within : across).test(between)
}

function joined(run: Run, next: Run): Run {
  const pieces = run.pieces + next.pieces
  const sum = run.probability * run.pieces + next.probability * next.pieces
  return { ...run, end: next.end, pieces, probability: sum / pieces }
}
