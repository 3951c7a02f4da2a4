import { CATEGORIES } from '../detector.ts'
import type { Members } from './members.ts'
import { refuseAt } from './members.ts'

const MAX_LABELS = 64
const NAMES = [...CATEGORIES, 'other\\.[a-z0-9_-]{1,60}'].join('|')
const LABEL = new RegExp(`^(none|(${NAMES})(\\.begin|\\.inside)?)$`)

/** A word of docs/detector-format.md. */
export const isLabel = (text: string): boolean => LABEL.test(text)

/** The labels of a classifier, each a word of docs/detector-format.md, and none of them twice. */
export function readLabels(classifier: Members): string[] {
  const labels = classifier.list('labels', 1, MAX_LABELS).map(({ value, where }) => {
    if (typeof value !== 'string' || !isLabel(value))
      return refuseAt(where, 'is not a label of the format')
    return value
  })
  if (new Set(labels).size < labels.length) classifier.refuse('has a label twice', 'labels')
  return labels
}

/** What a label speaks for: `none`, a category, or `other.NAME`. */
export function categoryOfLabel(label: string): string {
  return label.replace(/\.(begin|inside)$/, '')
}
