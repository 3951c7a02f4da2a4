import type { DetectedSpan, Detection } from '../detection.ts'
import type { Detector } from '../detector.ts'
import { featuresOf } from '../features.ts'
import { spansOf } from '../spans/spans.ts'
import { createTokenizer } from '../tokenizer/tokenizer.ts'
import { windowsOf } from '../windows.ts'
import { type Latents, piecesIn } from './latents.ts'
import type { TextsWork } from './messages.ts'
import type { OpenText, TextChunk } from './text-chunks.ts'

/** Whom the units of a job tell what became of them. */
export interface Told {
  readonly result: (index: number, detection: Detection) => void
  /** After the last result. */
  readonly done: () => void
  readonly fail: (error: unknown) => void
}

/** Cuts texts into windows, and makes spans of what the model says of them. */
export type TextJobs = (work: TextsWork, told: Told) => () => readonly TextChunk[] | undefined

export function createTextJobs(
  detector: Detector,
  labels: number,
  openLatents: () => Latents,
): TextJobs {
  const { settings } = detector
  const { window, overlap } = settings.decoding
  const encode = createTokenizer(detector)

  function read(text: string, explain: boolean): OpenText {
    const encoded = encode(text)
    return {
      encoded,
      features: featuresOf(text, encoded),
      probabilities: new Float32Array(encoded.pieces.length * labels),
      latents: explain ? openLatents() : undefined,
    }
  }

  function spansIn(text: string, open: OpenText, work: TextsWork): readonly DetectedSpan[] {
    const { encoded, probabilities, latents } = open
    return spansOf({ text, encoded, probabilities, settings })
      .filter(({ category, confidence }) => isWanted(work, category, confidence))
      .map(({ category, start, end, confidence }) => ({
        category,
        start,
        end,
        confidence,
        ...(latents === undefined
          ? {}
          : {
              latents: latents.strongest(
                category,
                piecesIn({ category, start, end }, encoded.starts, encoded.ends),
              ),
            }),
      }))
  }

  return (work, { result, done, fail }) => {
    const { texts, explain } = work
    let next = 0
    let unfinished = texts.length

    function finish(index: number, text: string, open: OpenText, chunks: number): void {
      try {
        result(index, { spans: spansIn(text, open, work), chunks })
        unfinished -= 1
        if (unfinished === 0) done()
      } catch (error) {
        // Here rather than in the run that others share.
        fail(error)
      }
    }

    return () => {
      const index = next
      const text = texts[index]
      if (texts.length === 0) done()
      if (text === undefined) return undefined
      next += 1
      const open = read(text, explain)
      const windows = windowsOf(open.encoded.pieces.length, window, overlap)
      let left = windows.length
      if (left === 0) finish(index, text, open, 0)
      return windows.map((each) => ({
        text: open,
        window: each,
        fail,
        done: () => {
          left -= 1
          if (left === 0) finish(index, text, open, windows.length)
        },
      }))
    }
  }
}

export const isWanted = (
  { threshold, categories }: Pick<TextsWork, 'threshold' | 'categories'>,
  category: DetectedSpan['category'],
  confidence: number,
): boolean => confidence >= threshold && (categories?.includes(category) ?? true)
