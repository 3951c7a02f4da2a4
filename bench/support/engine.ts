import { Readable } from 'node:stream'
import type { Detection, Provider } from '../../src/detect/detection.ts'
import { type Engine, startEngine } from '../../src/detect/engine/engine.ts'
import type { DetectorFile } from './detector-file.ts'

const SILENCE_MS = 60_000

export interface TimedEngine {
  readonly facts: Engine['facts']
  readonly detect: (texts: readonly string[]) => Promise<readonly Detection[]>
  /** Milliseconds of inference for one window since this was last asked. */
  readonly msAChunk: () => number
  readonly close: () => Promise<void>
}

/** The detector's own process without a server around it. */
export async function startTimedEngine(
  { bytes, sha256 }: DetectorFile,
  device: Provider,
  options: { readonly threads: number; readonly batchChunks: number },
): Promise<TimedEngine> {
  let chunks = 0
  let seconds = 0
  const engine = await startEngine(
    {
      settings: { device, batchWaitMs: 0, ...options },
      sizeBytes: bytes.length,
      sha256,
      bytes: Readable.from([bytes]),
      silenceMs: SILENCE_MS,
      onRun: (ran, took) => {
        chunks += ran
        seconds += took
      },
      onFault: (frames) => {
        console.error(frames)
      },
    },
    new AbortController().signal,
  )
  return {
    facts: engine.facts,
    detect: (texts) =>
      engine.detect(
        { kind: 'texts', texts, threshold: 0, categories: undefined, explain: false },
        new AbortController().signal,
        () => undefined,
      ),
    msAChunk: () => {
      const ms = (seconds * 1000) / chunks
      chunks = 0
      seconds = 0
      return ms
    },
    close: engine.close,
  }
}
