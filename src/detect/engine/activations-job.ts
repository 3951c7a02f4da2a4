import type { DetectedSpan } from '../detection.ts'
import type { DetectorSettings } from '../detector.ts'
import type { ScoredSpan } from '../spans/spans.ts'
import { tokenSpansOf } from '../spans/token-spans.ts'
import { type ActivationsChunk, type OpenActivations, tokensAChunk } from './activations-chunks.ts'
import type { Latents } from './latents.ts'
import type { ActivationsWork } from './messages.ts'
import { isWanted, type Told } from './text-job.ts'

/** Cuts a request's tokens into chunks, and makes spans of what the classifiers say of them. */
export type ActivationsJobs = (
  work: ActivationsWork,
  told: Told,
) => () => readonly ActivationsChunk[] | undefined

export function createActivationsJobs(
  settings: Pick<DetectorSettings, 'classifiers' | 'decoding' | 'sae'>,
  labels: number,
  openLatents: () => Latents,
): ActivationsJobs {
  const step = tokensAChunk(settings.sae.rows)

  return (work, { result, done, fail }) => {
    const { tokens, explain } = work
    const chunks = Math.ceil(tokens / step)
    const open: OpenActivations = {
      work,
      probabilities: new Float32Array(tokens * labels),
      latents: explain ? openLatents() : undefined,
    }
    let next = 0
    let left = chunks

    function finish(): void {
      const found = tokenSpansOf(tokens, open.probabilities, settings)
      const spans = found
        .filter(({ category, confidence }) => isWanted(work, category, confidence))
        .map((span) => told(span, work.offsets, open.latents))
      result(0, { spans, chunks })
      done()
    }

    return () => {
      if (tokens === 0 && next === 0) finish()
      if (next >= tokens) return undefined
      const begin = next
      next = Math.min(begin + step, tokens)
      return [
        {
          open,
          begin,
          end: next,
          fail,
          done: () => {
            left -= 1
            if (left === 0) finish()
          },
        },
      ]
    }
  }
}

/** In units of the text where its tokens' places came along. */
function told(
  { category, start: begin, end, confidence }: ScoredSpan,
  offsets: Float64Array | undefined,
  latents: Latents | undefined,
): DetectedSpan {
  return {
    category,
    start: offsets?.[2 * begin] ?? begin,
    end: offsets?.[2 * end - 1] ?? end,
    confidence,
    ...(latents === undefined ? {} : { latents: latents.strongest(category, { begin, end }) }),
  }
}
