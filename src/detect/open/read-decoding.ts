import { CATEGORIES } from '../detector.ts'
import type { Category, CategoryDecoding, DecodingSettings, GoldenText, Span } from '../detector.ts'
import { membersOf, refuseAt } from './members.ts'
import type { Item, Members } from './members.ts'
import { categoryOfLabel } from './read-labels.ts'

const MAX_POINTS = 256
const MAX_GOLDEN_TEXTS = 64
/** The default limit of a text in a request, in UTF-16 units. */
const MAX_GOLDEN_LENGTH = 20_000
const MAX_GOLDEN_SPANS = 1000

type Categories = DecodingSettings['categories']

/** A category without threshold would never be found, one without label neither: both must be there, or none. */
export function readCategories(members: Members, labels: readonly string[]): Categories {
  const named = new Set(labels.map(categoryOfLabel))
  const read: Partial<Record<Category, CategoryDecoding>> = {}
  for (const category of CATEGORIES) {
    if (members.has(category)) read[category] = readCategory(members.object(category))
    if (members.has(category) !== named.has(category))
      members.refuse(
        named.has(category) ? 'is missing, but has labels' : 'has no label in any classifier',
        category,
      )
  }
  if (Object.keys(read).length === 0) members.refuse('has no category')
  members.end()
  return read
}

function readCategory(members: Members): CategoryDecoding {
  const threshold = members.number('threshold', 0, 1)
  const calibration = members.list('calibration', 1, MAX_POINTS).map(readPoint)
  for (const [i, [probability, confidence]] of calibration.entries()) {
    const before = calibration[i - 1]
    if (before !== undefined && (probability <= before[0] || confidence < before[1]))
      members.refuse(`does not ascend at point ${i}`, 'calibration')
  }
  members.end()
  return { threshold, calibration }
}

function readPoint({ value, where }: Item): [number, number] {
  const point: unknown[] = Array.isArray(value) && value.length === 2 ? value : []
  const [probability, confidence] = point
  if (!isShare(probability) || !isShare(confidence))
    return refuseAt(where, 'wants [probability, confidence], both from 0 to 1')
  return [probability, confidence]
}

const isShare = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= 1

export function readGolden(settings: Members, categories: Categories): GoldenText[] {
  return settings.list('golden', 0, MAX_GOLDEN_TEXTS).map((item) => {
    const members = membersOf(item)
    const text = members.text('text', MAX_GOLDEN_LENGTH)
    const spans = members
      .list('spans', 0, MAX_GOLDEN_SPANS)
      .map((span) => readSpan(span, text.length, categories))
    for (const [i, { start }] of spans.entries())
      if (start < (spans[i - 1]?.end ?? 0)) members.refuse('are not in order, or overlap', 'spans')
    members.end()
    return { text, spans }
  })
}

function readSpan(item: Item, length: number, categories: Categories): Span {
  const members = membersOf(item)
  const category = members.choice(
    'category',
    CATEGORIES.filter((name) => categories[name] !== undefined),
  )
  const start = members.integer('start', 0, length - 1)
  const end = members.integer('end', start + 1, length)
  members.end()
  return { category, start, end }
}
