import { setImmediate } from 'node:timers/promises'
import type { Detection } from '../detection.ts'
import { CATEGORIES, type Detector } from '../detector.ts'
import { explainWeights } from '../graph/explain-weights.ts'
import { uint32sOf } from '../tensor-values.ts'
import { type ActivationsChunk, createActivationsRunner } from './activations-chunks.ts'
import { createActivationsJobs } from './activations-job.ts'
import { createBatcher, type Job, type Taken } from './batcher.ts'
import { createLatents, type Latents } from './latents.ts'
import type { EngineSettings, Work } from './messages.ts'
import type { Session } from './session.ts'
import { createTextRunner, type TextChunk, type TextRunner } from './text-chunks.ts'
import { createTextJobs, type Told } from './text-job.ts'

export interface Sessions {
  /** Of a detector that reads text. */
  readonly text: Session | undefined
  readonly activations: Session
}

/** Who waits for a piece of work: `done` or `failed` comes last, and once. */
export interface Sink {
  readonly result: (index: number, detection: Detection) => void
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

/** Begins a piece of work; call the result to have it forgotten. */
export type Pipeline = (work: Work, sink: Sink) => () => void

type Chunk =
  | { readonly kind: 'text'; readonly chunk: TextChunk }
  | { readonly kind: 'activations'; readonly chunk: ActivationsChunk }

/** @param onRun is told of each inference: its chunks, and how long it took. */
export function createPipeline(
  detector: Detector,
  sessions: Sessions,
  { batchChunks, batchWaitMs }: Pick<EngineSettings, 'batchChunks' | 'batchWaitMs'>,
  onRun: (chunks: number, seconds: number) => void,
): Pipeline {
  const { text, sae, classifiers } = detector.settings
  const labels = classifiers.reduce((sum, each) => sum + each.labels.length, 0)
  const openLatents = latentsOf(detector)
  const runActivations = createActivationsRunner(sessions.activations, labels, sae.rows)
  const activationsJobs = createActivationsJobs(detector.settings, labels, openLatents)
  const texts = text &&
    sessions.text && {
      runner: createTextRunner(sessions.text, text, labels, sae.rows),
      jobs: createTextJobs(detector, labels, openLatents),
    }
  const batcher = createBatcher<Chunk>({ batchChunks, batchWaitMs, run: runBatch })
  const live = new Set<Job<Chunk>>()

  async function runBatch(batch: readonly Taken<Chunk>[]): Promise<void> {
    const wanted = batch.filter(({ job }) => live.has(job)).map(({ chunk }) => chunk)
    const ofTexts = wanted.flatMap((each) => (each.kind === 'text' ? [each.chunk] : []))
    if (texts !== undefined) await runTexts(texts.runner, ofTexts)
    for (const each of wanted)
      if (each.kind === 'activations') await attempt([each.chunk], () => runActivations(each.chunk))
  }

  async function runTexts(runner: TextRunner, chunks: readonly TextChunk[]): Promise<void> {
    const groups = [...runner.groupsOf(chunks)]
    async function runLane(): Promise<void> {
      for (let group = groups.shift(); group !== undefined; group = groups.shift()) {
        const some = group
        await attempt(some, () => runner.run(some))
      }
    }
    await Promise.all(Array.from({ length: runner.lanes }, runLane))
  }

  async function attempt(
    chunks: readonly (TextChunk | ActivationsChunk)[],
    run: () => Promise<void>,
  ): Promise<void> {
    const begun = performance.now()
    try {
      await run()
      onRun(chunks.length, (performance.now() - begun) / 1000)
    } catch (error) {
      for (const { fail } of chunks) fail(error)
    }
    // Inference holds the thread: whoever comes or gives up is heard now.
    await setImmediate()
  }

  function unitsOf(work: Work, told: Told): Job<Chunk>['next'] {
    if (work.kind === 'activations') {
      const next = activationsJobs(work, told)
      return () => next()?.map((chunk) => ({ kind: 'activations', chunk }))
    }
    if (texts === undefined) throw new Error('this detector reads no text')
    const next = texts.jobs(work, told)
    return () => next()?.map((chunk) => ({ kind: 'text', chunk }))
  }

  return (work, sink) => {
    const settle = (tell: () => void): void => {
      if (!live.delete(job)) return
      batcher.drop(job)
      tell()
    }
    const fail = (error: unknown): void => {
      settle(() => {
        sink.failed(error)
      })
    }
    const next = unitsOf(work, {
      result: (index, detection) => {
        if (live.has(job)) sink.result(index, detection)
      },
      done: () => {
        settle(sink.done)
      },
      fail,
    })
    const job: Job<Chunk> = { next, fail }
    live.add(job)
    batcher.add(job)
    return () => {
      settle(() => undefined)
    }
  }
}

function latentsOf(detector: Detector): () => Latents {
  const { rows, width } = detector.settings.sae
  const numbers = rows < width ? uint32sOf(detector, 'sae.latents') : undefined
  const weightOf = explainWeights(detector)
  // Told once, so that the file's bytes needn't stay for them.
  const weights = new Map(
    CATEGORIES.map((category) => [
      category,
      Float32Array.from({ length: rows }, (_, row) => weightOf(category, row)),
    ]),
  )
  return () =>
    createLatents(
      (category, row) => weights.get(category)?.[row] ?? 0,
      (row) => numbers?.[row] ?? row,
    )
}
