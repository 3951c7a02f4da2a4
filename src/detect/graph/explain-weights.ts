import type { Category, Detector } from '../detector.ts'
import { matrixOf } from '../matrix-values.ts'
import { categoryOfLabel } from '../open/read-labels.ts'
import { aligned } from '../open/check-finite.ts'
import { tensorOf } from '../tensor-values.ts'

/**
 * How a row of the SAE speaks for a category, on average over the classifiers that have it:
 *
 * - logistic: the row's weight for the category's label, of several (begin, inside) the largest; with a softmax,
 *   less its weight for `none`
 * - trees: the share of their splits that read the row, which says how much it matters, not what for
 */
export function explainWeights(detector: Detector): (category: Category, row: number) => number {
  const { rows } = detector.settings.sae
  const made = new Map<Category, Float32Array>()

  function weightsFor(category: Category): Float32Array {
    const sum = new Float32Array(rows)
    let classifiers = 0
    for (const [n, { kind, link, labels }] of detector.settings.classifiers.entries()) {
      const speaking = indicesOf(labels, category)
      if (speaking.length === 0) continue
      classifiers += 1
      if (kind === 'trees') addShares(detector, n, sum)
      else
        addWeights(detector, n, speaking, link === 'softmax' ? indicesOf(labels, 'none') : [], sum)
    }
    return sum.map((weight) => (classifiers === 0 ? 0 : weight / classifiers))
  }

  return (category, row) => {
    const weights = made.get(category) ?? weightsFor(category)
    made.set(category, weights)
    return weights[row] ?? 0
  }
}

/** Of the labels that speak for a category, or for `none`. */
function indicesOf(labels: readonly string[], category: string): number[] {
  return [...labels.keys()].filter((i) => categoryOfLabel(labels[i] ?? '') === category)
}

function addWeights(
  detector: Detector,
  n: number,
  speaking: readonly number[],
  against: readonly number[],
  sum: Float32Array,
): void {
  const weights = matrixOf(detector, `classifiers.${n}.weight`)
  const rows = sum.length
  for (let row = 0; row < rows; row += 1) {
    const weightOf = (label: number): number => weights[label * rows + row] ?? 0
    const of = Math.max(...speaking.map(weightOf))
    sum[row] =
      (sum[row] ?? 0) + of - (against.length === 0 ? 0 : Math.max(...against.map(weightOf)))
  }
}

function addShares(detector: Detector, n: number, sum: Float32Array): void {
  const features = aligned(Int32Array, tensorOf(detector, `classifiers.${n}.feature`).bytes)
  const splits = features.filter((row) => row >= 0)
  for (const row of splits) sum[row] = (sum[row] ?? 0) + 1 / splits.length
}
