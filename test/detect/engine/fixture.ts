import { createHash } from 'node:crypto'
import { type Engine, type EngineOptions, startEngine } from '../../../src/detect/engine/engine.ts'
import type { EngineSettings, TextsWork } from '../../../src/detect/engine/messages.ts'
import { RegistryError } from '../../../src/errors.ts'
import type { Detection } from '../../../src/detect/detection.ts'

export const SETTINGS: EngineSettings = {
  device: 'cpu',
  threads: 1,
  batchChunks: 8,
  batchWaitMs: 2,
}

interface Closing {
  readonly teardown: (close: () => Promise<unknown>) => void
}

interface Started {
  readonly engine: Engine
  /** Chunks of each inference. */
  readonly runs: readonly number[]
  readonly faults: readonly (string | undefined)[]
}

/** The engine of a detector file; its process ends with the test. */
export async function start(
  t: Closing,
  file: Uint8Array,
  settings: Partial<EngineSettings> = {},
  options: Partial<EngineOptions> = {},
): Promise<Started> {
  const runs: number[] = []
  const faults: (string | undefined)[] = []
  const engine = await startEngine(
    {
      settings: { ...SETTINGS, ...settings },
      sizeBytes: file.length,
      sha256: createHash('sha256').update(file).digest('hex'),
      bytes: inPieces(file),
      silenceMs: 60_000,
      onRun: (chunks) => runs.push(chunks),
      onFault: (frames) => faults.push(frames),
      ...options,
    },
    new AbortController().signal,
  )
  t.teardown(engine.close)
  return { engine, runs, faults }
}

export async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100_000)
    yield await Promise.resolve(bytes.subarray(at, at + 100_000))
}

export const texts = (...all: readonly string[]): TextsWork => ({
  kind: 'texts',
  texts: all,
  threshold: 0,
  categories: undefined,
  explain: false,
})

/** Work that nobody gives up. */
export const ask = (engine: Engine, work: Parameters<Engine['detect']>[0]) =>
  engine.detect(work, new AbortController().signal, () => undefined)

/** Different ones, of lengths that fill one window or several. */
export const text = (n: number): string =>
  `${n} Anna ${String.fromCharCode(97 + (n % 26)).repeat(n % 7)} Weber, Rue ${n * n} `.repeat(
    1 + (n % 11),
  )

export const places = ({ spans }: Detection) => spans.map((s) => [s.category, s.start, s.end])

/** The code of what a promise is rejected with. */
export async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise
    return undefined
  } catch (error) {
    return error instanceof RegistryError ? error.code : String(error)
  }
}
