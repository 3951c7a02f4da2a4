import { CATEGORIES, type Category } from '../detect/detector.ts'
import type { TrainedClassifier } from '../detect/formats/classifier-file.ts'
import { categoryOfLabel, isLabel } from '../detect/open/read-labels.ts'
import { UsageError } from './shell.ts'

type Labels = ReadonlyMap<string, string>
type Thresholds = ReadonlyMap<string, number>

/** Of a category that no option names. */
const THRESHOLD = 0.5

/** `CLASS=LABEL`. @throws {UsageError} */
export function parseLabels(pairs: readonly string[]): Labels {
  return new Map(
    pairs.map((pair) => {
      // A class may hold one itself; a label doesn't.
      const at = pair.lastIndexOf('=')
      if (at < 0) throw new UsageError(`--label wants CLASS=LABEL, not ${pair}.`)
      const label = pair.slice(at + 1)
      if (!isLabel(label)) throw new UsageError(`--label ${pair}: a detector has no such label.`)
      return [pair.slice(0, at), label]
    }),
  )
}

/** `CATEGORY=NUMBER`, or a number for all of them, which stands under the empty name. @throws {UsageError} */
export function parseThresholds(given: readonly string[]): Thresholds {
  return new Map(
    given.map((each) => {
      const [, category = '', text = ''] = /^(?:([a-z_]+)=)?(.*)$/.exec(each) ?? []
      const value = text.trim() === '' ? NaN : Number(text)
      if (!(value >= 0 && value <= 1) || !['', ...CATEGORIES].includes(category))
        throw new UsageError(`--threshold wants a number from 0 to 1, alone or after one of ${CATEGORIES.join('=, ')}=, not ${each}.`) // prettier-ignore
      return [category, value]
    }),
  )
}

export const thresholdOf = (thresholds: Thresholds, category: Category): number =>
  thresholds.get(category) ?? thresholds.get('') ?? THRESHOLD

/** Every class has a label, and nothing is said of what isn't there. @throws {UsageError} telling all that is wrong */
export function checkNames(
  classifiers: readonly TrainedClassifier[],
  labels: Labels,
  thresholds: Thresholds,
): void {
  const classes = new Set(classifiers.flatMap((classifier) => classifier.classes))
  const labelled = Array.from(classes, (name) => labels.get(name) ?? name)
  const categories = new Set(labelled.map(categoryOfLabel))
  const nameless = labelled.filter((name) => !isLabel(name))
  const absent = Array.from(labels).filter(([name]) => !classes.has(name))
  const idle = Array.from(thresholds.keys()).filter((name) => name !== '' && !categories.has(name))
  const problems = [
    ...absent.map(([name, label]) => `--label ${name}=${label}: no class is called ${name}.`),
    ...nameless.map((name) => `class ${name} has no label: --label ${name}=none, or what else it is.`), // prettier-ignore
    // A class without a label could be of that category.
    ...(nameless.length > 0 ? [] : idle.map((name) => `--threshold ${name}=${thresholds.get(name)}: no class is of that category.`)), // prettier-ignore
  ]
  if (problems.length > 0) throw new UsageError(...problems)
}
