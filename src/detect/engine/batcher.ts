import { setImmediate, setTimeout } from 'node:timers/promises'

/** Work in units, such as texts, each of which becomes some chunks. */
export interface Job<Chunk> {
  /** The chunks of the next unit; undefined after the last. */
  readonly next: () => readonly Chunk[] | undefined
  /** Called with what reading a unit failed with. Nothing more of it is read. */
  readonly fail: (error: unknown) => void
}

export interface Taken<Chunk> {
  readonly job: Job<Chunk>
  readonly chunk: Chunk
}

export interface Batcher<Chunk> {
  readonly add: (job: Job<Chunk>) => void
  /** Its chunks are forgotten, but for those of a batch that runs already. */
  readonly drop: (job: Job<Chunk>) => void
}

/**
 * Puts the chunks of all jobs into batches, one a job in turn: a long job holds up a short one by no more than a batch.
 * A job's next unit is read only when its turn comes, so that little lies prepared.
 *
 * @param options.batchWaitMs how long the first chunk after a silence waits for others.
 * @param options.run never rejects; one batch runs at a time.
 */
export function createBatcher<Chunk>(options: {
  readonly batchChunks: number
  readonly batchWaitMs: number
  readonly run: (batch: readonly Taken<Chunk>[]) => Promise<void>
}): Batcher<Chunk> {
  /** Chunks at hand, by job, in the order in which their turns come. */
  const line = new Map<Job<Chunk>, Chunk[]>()
  let isRunning = false

  async function gather(): Promise<readonly Taken<Chunk>[]> {
    const batch: Taken<Chunk>[] = []
    while (batch.length < options.batchChunks) {
      const [first] = line
      if (first === undefined) break
      const [job, chunks] = first
      const chunk = chunks.shift()
      if (chunk === undefined) {
        readUnit(job)
        // That may take a while: who comes or gives up is heard in between.
        await setImmediate()
        continue
      }
      batch.push({ job, chunk })
      line.delete(job)
      line.set(job, chunks)
    }
    return batch
  }

  function readUnit(job: Job<Chunk>): void {
    try {
      const chunks = job.next()
      if (chunks === undefined) line.delete(job)
      else line.set(job, [...chunks])
    } catch (error) {
      line.delete(job)
      job.fail(error)
    }
  }

  async function runAll(): Promise<void> {
    if (options.batchWaitMs > 0) await setTimeout(options.batchWaitMs)
    while (line.size > 0) {
      const batch = await gather()
      if (batch.length > 0) await options.run(batch)
    }
    isRunning = false
  }

  return {
    add: (job) => {
      line.set(job, [])
      if (isRunning) return
      isRunning = true
      void runAll()
    },
    drop: (job) => {
      line.delete(job)
    },
  }
}
