import type { Category, CategoryDecoding, DetectorSettings, Span } from '../detector.ts'
import type { Encoded } from '../tokenizer/encoded.ts'
import { refineAddress } from './addresses.ts'
import { calibrated } from './confidence.ts'
import { findEmails } from './emails.ts'
import { createLookAlikes, type LookAlikes } from './look-alikes.ts'
import { refineName } from './names.ts'
import { refinePhone } from './phones.ts'
import type { Range, Refined } from './range.ts'
import { runsOf, type Run } from './runs.ts'
import { scoresOf } from './scores.ts'
import { wordsOf } from './words.ts'

export interface ScoredSpan extends Span {
  /** The mean over its pieces of what the classifiers say; less where its shape is doubtful. */
  readonly probability: number
  /** That probability, calibrated. */
  readonly confidence: number
}

export interface Judgement {
  readonly text: string
  readonly encoded: Encoded
  /** `[pieces, labels]`, all labels of all classifiers side by side. */
  readonly probabilities: Float32Array
  readonly settings: Pick<DetectorSettings, 'classifiers' | 'decoding'>
}

type Categories = DetectorSettings['decoding']['categories']
type Rule = (text: string, range: Range, lookAlikes: LookAlikes) => Refined | undefined

const RULES: Record<Exclude<Category, 'email'>, Rule> = {
  personal_name: refineName,
  address: refineAddress,
  phone: refinePhone,
}

/** An address that obeys the grammar is one, however unsure the classifiers are. */
const GRAMMAR = 0.99

/**
 * The spans of a text, in its order, none sharing a place with another and none under its category's threshold. With
 * thresholds of 0: every candidate.
 */
export function spansOf({ text, encoded, probabilities, settings }: Judgement): ScoredSpan[] {
  const { classifiers, decoding } = settings
  const scores = scoresOf(classifiers, probabilities, encoded.pieces.length)
  const known = scores.map(({ category }) => category)
  const runs = runsOf(text, wordsOf(text, encoded, scores))
  const emails = known.includes('email') ? emailsOf(text, decoding.categories.email) : []
  return apart([...emails, ...refined(text, outside(emails, runs), decoding.categories)])
}

function emailsOf(text: string, decoding: CategoryDecoding | undefined): ScoredSpan[] {
  return findEmails(text).flatMap((range) => scored('email', range, GRAMMAR, decoding))
}

/** What is left of the runs beside the addresses that the grammar found. */
function outside(emails: readonly Range[], runs: readonly Run[]): Run[] {
  return runs.flatMap((run) => {
    const email = emails.find(({ start, end }) => start < run.end && end > run.start)
    if (email === undefined) return [run]
    if (run.start < email.start) return [{ ...run, end: email.start }]
    return run.end > email.end ? outside(emails, [{ ...run, start: email.end }]) : []
  })
}

function refined(text: string, runs: readonly Run[], categories: Categories): ScoredSpan[] {
  const lookAlikes = createLookAlikes(text)
  return runs.flatMap(({ category, start, end, probability }) => {
    const decoding = categories[category]
    // What isn't likely enough needs no rule to refuse it.
    if (category === 'email' || decoding === undefined || probability < decoding.threshold)
      return []
    const range = RULES[category](text, { start, end }, lookAlikes)
    if (range === undefined) return []
    return scored(category, range, range.isDoubtful ? probability ** 2 : probability, decoding)
  })
}

/** None or one: less than the threshold is no span. */
function scored(
  category: Category,
  { start, end }: Range,
  probability: number,
  decoding: CategoryDecoding | undefined,
): ScoredSpan[] {
  if (decoding === undefined || probability < decoding.threshold) return []
  const confidence = calibrated(decoding.calibration, probability)
  return [{ category, start, end, probability, confidence }]
}

/** In order; of spans that share a place, the likelier one, and of equal ones the one given first. */
function apart(spans: readonly ScoredSpan[]): ScoredSpan[] {
  const kept: ScoredSpan[] = []
  for (const span of spans.toSorted((a, b) => a.start - b.start)) {
    const last = kept.at(-1)
    if (last === undefined || last.end <= span.start) kept.push(span)
    else if (span.probability > last.probability) kept[kept.length - 1] = span
  }
  return kept
}
