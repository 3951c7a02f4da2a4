import type { Detection, Detections } from '../src/detect/detection.ts'
import { type JsonPieces, listOf, objectOf } from './json-in-turns.ts'

interface Told {
  readonly found: Detections
  readonly detection: Detection
  readonly unit: string
  /** Where a place of the detection's lies in the caller's unit. */
  readonly placeOf: (place: number) => number
  /** Where each span is to show its part of it. */
  readonly text?: string | undefined
  readonly redacted?: string | undefined
  readonly language: string
  readonly tookMs: number
}

/** What `/detect` says of one text. */
export function tellDetection(told: Told): JsonPieces {
  const { found, detection, unit, placeOf, text, redacted, language, tookMs } = told
  const { checkpoint, version, revision, sha256, provider, sae } = found.model
  const { spans, chunks } = detection
  return objectOf({
    pii_spans: listOf(spans, ({ category, confidence, latents, ...span }) => {
      const [start, end] = [placeOf(span.start), placeOf(span.end)]
      return {
        category,
        start,
        end,
        start_char: start,
        end_char: end,
        confidence,
        text: text?.slice(span.start, span.end),
        latents,
      }
    }),
    has_pii: spans.length > 0,
    redacted_text: redacted,
    offset_encoding: unit,
    language,
    model_version: `${checkpoint}@${version}`,
    model: { revision, sha256, provider, activation: sae.architecture },
    chunks,
    processing_time_ms: tookMs,
  })
}

/** To a tenth. */
export const millisecondsSince = (begun: number): number =>
  Math.round((performance.now() - begun) * 10) / 10
