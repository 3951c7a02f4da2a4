import { CATEGORIES, type Category, type ClassifierSettings } from '../detector.ts'

/** What the classifiers say of one category, a value a piece. */
export interface CategoryScores {
  readonly category: Category
  readonly probability: Float32Array
  /** Of that probability, the share that says that a span begins here; 0 where no classifier tells. */
  readonly beginShare: Float32Array
}

interface Columns {
  readonly category: Category
  readonly all: readonly Weighted[]
  readonly begin: readonly Weighted[]
}

interface Weighted {
  readonly column: number
  readonly weight: number
}

interface Label {
  readonly classifier: number
  readonly column: number
  readonly name: string
}

/**
 * One for each category that a classifier knows: the sum over the category's labels of a classifier, and the mean over
 * the classifiers that have it.
 *
 * @param probabilities `[count, labels]`, all labels of all classifiers side by side
 */
export function scoresOf(
  classifiers: readonly ClassifierSettings[],
  probabilities: Float32Array,
  count: number,
): CategoryScores[] {
  const labels = labelsOf(classifiers)
  return columnsOf(labels).map(({ category, all, begin }) => {
    // Labels that are judged each for itself (sigmoid) may add up to more.
    const probability = sums(probabilities, count, labels.length, all).map((p) => Math.min(1, p))
    const beginning = sums(probabilities, count, labels.length, begin)
    const beginShare = beginning.map((value, i) => shareOf(value, probability[i] ?? 0))
    return { category, probability, beginShare }
  })
}

function labelsOf(classifiers: readonly ClassifierSettings[]): Label[] {
  return classifiers
    .flatMap(({ labels }, classifier) => labels.map((name) => ({ classifier, name })))
    .map((label, column) => ({ ...label, column }))
}

function columnsOf(labels: readonly Label[]): Columns[] {
  return CATEGORIES.map((category) => ({
    category,
    all: averaged(labels.filter(({ name }) => name.split('.')[0] === category)),
    begin: averaged(labels.filter(({ name }) => name === `${category}.begin`)),
  })).filter(({ all }) => all.length > 0)
}

function averaged(labels: readonly Label[]): Weighted[] {
  const weight = 1 / new Set(labels.map(({ classifier }) => classifier)).size
  return labels.map(({ column }) => ({ column, weight }))
}

function sums(
  probabilities: Float32Array,
  count: number,
  width: number,
  columns: readonly Weighted[],
): Float32Array {
  const out = new Float32Array(count)
  for (const { column, weight } of columns)
    for (let i = 0; i < count; i += 1)
      out[i] = (out[i] ?? 0) + weight * (probabilities[i * width + column] ?? 0)
  return out
}

function shareOf(part: number, whole: number): number {
  return whole > 0 ? Math.min(1, part / whole) : 0
}
