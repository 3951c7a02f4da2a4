import type { DetectorSettings } from '../detector.ts'
import { calibrated } from './confidence.ts'
import { type CategoryScores, scoresOf } from './scores.ts'
import type { ScoredSpan } from './spans.ts'

/** From this share on, a token that seems to begin a span does. */
const BEGINS = 0.5

/**
 * Spans of tokens whose text isn't known: neighbours of one category, each more likely it than anything else. `start`
 * and `end` count tokens. Nothing under its category's threshold; no rule can be asked.
 *
 * @param probabilities `[count, labels]`, all labels of all classifiers side by side
 */
export function tokenSpansOf(
  count: number,
  probabilities: Float32Array,
  { classifiers, decoding }: Pick<DetectorSettings, 'classifiers' | 'decoding'>,
): ScoredSpan[] {
  const scores = scoresOf(classifiers, probabilities, count)
  const spans: ScoredSpan[] = []
  for (let start = 0; start < count;) {
    const best = likeliest(scores, start)
    const end = endOf(scores, best, start, count)
    const span = best && spanOf(best, start, end, decoding)
    if (span !== undefined) spans.push(span)
    start = end
  }
  return spans
}

function endOf(
  scores: readonly CategoryScores[],
  best: CategoryScores | undefined,
  start: number,
  count: number,
): number {
  let end = start + 1
  while (end < count && likeliest(scores, end) === best && (best?.beginShare[end] ?? 0) < BEGINS)
    end += 1
  return end
}

function spanOf(
  { category, probability: all }: CategoryScores,
  start: number,
  end: number,
  { categories }: DetectorSettings['decoding'],
): ScoredSpan | undefined {
  const decoding = categories[category]
  const probability = all.subarray(start, end).reduce((sum, each) => sum + each, 0) / (end - start)
  if (decoding === undefined || probability < decoding.threshold) return undefined
  const confidence = calibrated(decoding.calibration, probability)
  return { category, start, end, probability, confidence }
}

/** The category that is likelier than the others and than none of them. */
function likeliest(scores: readonly CategoryScores[], token: number): CategoryScores | undefined {
  let none = 1
  let best: CategoryScores | undefined
  for (const each of scores) {
    const value = each.probability[token] ?? 0
    none -= value
    if (value > (best?.probability[token] ?? 0)) best = each
  }
  return best !== undefined && (best.probability[token] ?? 0) > none ? best : undefined
}
