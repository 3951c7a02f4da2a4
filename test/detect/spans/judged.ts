import type { Category } from '../../../src/detect/detector.ts'
import { spansOf } from '../../../src/detect/spans/spans.ts'
import type { Encoded } from '../../../src/detect/tokenizer/encoded.ts'

const CATEGORIES = ['personal_name', 'address', 'phone', 'email'] as const
const LABELS = ['none', ...CATEGORIES.flatMap((c) => [`${c}.begin`, `${c}.inside`])]

/** What a model might say of a range: every piece in it gets the probability, the first one as a beginning. */
export interface Said {
  readonly category: Category
  readonly start: number
  readonly end: number
  readonly probability?: number
  /** Its first piece is inside, as the others are. */
  readonly continues?: boolean
}

export function settings(threshold: number): Parameters<typeof spansOf>[0]['settings'] {
  const decoding = { threshold, calibration: [[0, 0.1], [0.5, 0.2], [1, 1]] as const } // prettier-ignore
  return {
    classifiers: [{ kind: 'logistic', link: 'softmax', labels: LABELS }],
    decoding: {
      window: 126,
      overlap: 63,
      categories: Object.fromEntries(CATEGORIES.map((category) => [category, decoding])),
    },
  }
}

/** Words, numbers and single characters: pieces as a vocabulary might have them. */
export function piecesOf(text: string): Encoded {
  const pieces = Array.from(text.matchAll(/\p{Script=Latin}+|\p{Nd}+|\S/gu))
  return {
    pieces: new Int32Array(pieces.length),
    starts: Int32Array.from(pieces, ({ index }) => index),
    ends: Int32Array.from(pieces, ({ index, 0: piece }) => index + piece.length),
  }
}

export function probabilitiesOf({ starts, ends }: Encoded, said: readonly Said[]): Float32Array {
  const rows = Array.from(starts, (start, i) => {
    const of = said.find((each) => start < each.end && (ends[i] ?? 0) > each.start)
    const row = new Array<number>(LABELS.length).fill(0)
    if (of === undefined) return [1, ...row.slice(1)]
    const probability = of.probability ?? 0.95
    row[0] = 1 - probability
    row[
      LABELS.indexOf(
        `${of.category}.${start <= of.start && of.continues !== true ? 'begin' : 'inside'}`,
      )
    ] = probability
    return row
  })
  return Float32Array.from(rows.flat())
}

/** The spans of a marked text: `⟦` and `⟧` are around what the model takes for the category. */
export function found(category: Category, marked: string, threshold = 0.5): string[] {
  const said: Said[] = []
  let text = ''
  for (const [part, inner] of marked.matchAll(/⟦([^⟧]*)⟧|[^⟦⟧]+/gu)) {
    const read = inner ?? part
    if (inner !== undefined) said.push({ category, start: text.length, end: text.length + read.length }) // prettier-ignore
    text += read
  }
  const encoded = piecesOf(text)
  const probabilities = probabilitiesOf(encoded, said)
  return spansOf({ text, encoded, probabilities, settings: settings(threshold) })
    .filter((span) => span.category === category)
    .map(({ start, end }) => text.slice(start, end))
}
