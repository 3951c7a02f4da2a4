// What a detector file finds in texts, with the mean probability behind each confidence: the training's own view of the
// server's tokenizer, graph and spans. Lines {"text"} in, lines {"spans": [{category, start, end, probability, confidence}]}
// in code points out.
//
// node training/spans.ts DETECTOR.safetensors < TEXTS.jsonl

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Detector } from '../src/detect/detector.ts'
import {
  createTextRunner,
  type OpenText,
  type TextChunk,
} from '../src/detect/engine/text-chunks.ts'
import { openTextSession } from '../src/detect/engine/text-session.ts'
import { featuresOf } from '../src/detect/features.ts'
import { createOffsets } from '../src/detect/offsets.ts'
import { openDetector } from '../src/detect/open-detector.ts'
import { type ScoredSpan, spansOf } from '../src/detect/spans/spans.ts'
import { createTokenizer } from '../src/detect/tokenizer/tokenizer.ts'
import { windowsOf } from '../src/detect/windows.ts'

const TEXTS_AT_ONCE = 32

const [file] = process.argv.slice(2)
if (file === undefined) throw new Error('usage: spans.ts DETECTOR.safetensors < TEXTS.jsonl')
const find = await createFinder(openDetector(readFileSync(file)))

const waiting: string[] = []
for await (const line of createInterface({ input: process.stdin })) {
  waiting.push((JSON.parse(line) as { text: string }).text)
  if (waiting.length === TEXTS_AT_ONCE) await tell(waiting.splice(0))
}
await tell(waiting)

async function tell(texts: readonly string[]): Promise<void> {
  const found = await find(texts)
  texts.forEach((text, i) => {
    const codePoints = createOffsets(text, 'codepoint')
    const spans = (found[i] ?? []).map((span) => ({
      ...span,
      start: codePoints(span.start),
      end: codePoints(span.end),
    }))
    process.stdout.write(`${JSON.stringify({ spans })}\n`)
  })
}

async function createFinder(
  detector: Detector,
): Promise<(texts: readonly string[]) => Promise<ScoredSpan[][]>> {
  const { settings } = detector
  if (settings.text === undefined) throw new Error('this detector reads no text')
  const labels = settings.classifiers.reduce((sum, each) => sum + each.labels.length, 0)
  const encode = createTokenizer(detector)
  const session = await openTextSession(detector, 'cpu', 2)
  const runner = createTextRunner(session, settings.text, labels, settings.sae.rows)
  return async (texts) => {
    const open = texts.map((text): OpenText => {
      const encoded = encode(text)
      const probabilities = new Float32Array(encoded.pieces.length * labels)
      return { encoded, features: featuresOf(text, encoded), probabilities, latents: undefined }
    })
    const chunks = open.flatMap((text): TextChunk[] =>
      windowsOf(
        text.encoded.pieces.length,
        settings.decoding.window,
        settings.decoding.overlap,
      ).map((window) => ({
        text,
        window,
        done: () => undefined,
        fail: (error) => {
          throw error
        },
      })),
    )
    for (const group of runner.groupsOf(chunks)) await runner.run(group)
    return texts.map((text, i) => {
      const { encoded, probabilities } = open[i] as OpenText
      return [...spansOf({ text, encoded, probabilities, settings })]
    })
  }
}
