// Whether a detector finds the same on a graphics card as on the CPU, and how fast: `npm run bench:detect-gpu`
// (docs/gpu.md). It exits 1 where spans differ, and 0 where no card can be used, having said why.

import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import type { DetectedSpan, Detection, Provider } from '../src/detect/detection.ts'
import { LoadFailed } from '../src/detect/engine/engine.ts'
import { readDetector, SHIPPED } from './support/detector-file.ts'
import { startTimedEngine, type TimedEngine } from './support/engine.ts'
import { LANGUAGES, ownTexts } from './support/own-texts.ts'
import { spread, timed } from './support/timing.ts'

const { values } = parseArgs({
  options: {
    detector: { type: 'string', default: SHIPPED },
    texts: { type: 'string', default: '40' },
    rounds: { type: 'string', default: '5' },
  },
})
const CODE_POINTS = 500
const BATCH = 32
const texts = LANGUAGES.flatMap((language) => ownTexts(language, CODE_POINTS, Number(values.texts)))
const rounds = Number(values.rounds)
const threads = availableParallelism()

async function measure(engine: TimedEngine): Promise<readonly Detection[]> {
  const found = await engine.detect(texts)
  engine.msAChunk()
  const alone: number[] = []
  for (const text of texts) alone.push((await timed(() => engine.detect([text]))).ms)
  console.log(`  one text at a time: ${spread(alone)}; a window ${engine.msAChunk().toFixed(2)} ms`)
  const together: number[] = []
  for (let i = 0; i < rounds; i++) together.push((await timed(() => engine.detect(texts))).ms)
  const rates = together.map((ms) => (texts.length / ms) * 1000).toSorted((a, b) => a - b)
  const [least = NaN] = rates
  console.log(
    `  ${texts.length} texts at once, ${BATCH} windows a batch: ` +
      `${(rates[rates.length >> 1] ?? NaN).toFixed(0)} texts/s (at least ${least.toFixed(0)}); ` +
      `a window ${engine.msAChunk().toFixed(2)} ms`,
  )
  return found
}

const placeOf = ({ category, start, end }: DetectedSpan): string => `${category} ${start}–${end}`

/** How many texts have other spans, and how far confidences lie apart where they don't. */
function compare(found: readonly Detection[], expected: readonly Detection[]): number {
  const spansOf = (detection: Detection | undefined): readonly DetectedSpan[] =>
    detection?.spans ?? []
  const different = expected.flatMap(({ spans }, i) => {
    const places = spans.map(placeOf).join(', ')
    const others = spansOf(found[i]).map(placeOf).join(', ')
    return places === others ? [] : [`    text ${i}: ${others} instead of ${places}`]
  })
  const gaps = expected.flatMap(({ spans }, i) =>
    spans.map((span, n) => Math.abs(span.confidence - (spansOf(found[i])[n]?.confidence ?? NaN))),
  )
  const widest = Math.max(0, ...gaps.filter(Number.isFinite))
  console.log(
    `  next to the CPU: other spans in ${different.length} of ${expected.length} texts, ` +
      `confidences at most ${widest.toExponential(1)} apart`,
  )
  for (const line of different.slice(0, 10)) console.log(line)
  return different.length
}

/** Undefined where it can't run here, which has been said. */
async function detectionsOn(provider: Provider): Promise<readonly Detection[] | undefined> {
  console.log(`\n${provider}:`)
  let engine: TimedEngine
  try {
    engine = await startTimedEngine(file, provider, { threads, batchChunks: BATCH })
  } catch (error) {
    if (!(error instanceof LoadFailed)) throw error
    console.log(`  not here: ${error.message}`)
    return undefined
  }
  try {
    const { fellBack } = engine.facts
    const left = fellBack === undefined ? 'unknown' : fellBack.join(', ') || 'none'
    console.log(`  operators left to the CPU: ${left}`)
    return await measure(engine)
  } finally {
    await engine.close()
  }
}

console.log(`Node ${process.version}, ${threads} cores`)
const file = readDetector(values.detector)
const expected = await detectionsOn('cpu')
if (expected === undefined) process.exit(1)
let different = 0
let used = 0
for (const provider of ['cuda', 'webgpu'] as const) {
  const found = await detectionsOn(provider)
  if (found === undefined) continue
  used += 1
  different += compare(found, expected)
}
if (used === 0)
  console.log('\nNO GRAPHICS CARD CAN BE USED HERE: nothing was compared. docs/gpu.md')
process.exitCode = different > 0 ? 1 : 0
