import { Worker } from 'node:worker_threads'
import type { FromWorker, Job, Results, ToWorker } from './jobs.ts'

/**
 * Who goes first: a leaf that a caller waits for, then bytes of an upload, then read-ahead, then checks of
 * bytes at rest.
 */
export type Urgency = 'demand' | 'upload' | 'ahead' | 'background'
const URGENCIES: readonly Urgency[] = ['demand', 'upload', 'ahead', 'background']

/** Jobs that a worker holds at once: one to do and one at hand, the rest waits where urgency still counts. */
const AT_HAND = 2

interface Waiting {
  readonly job: Job
  readonly transfer: readonly ArrayBuffer[]
  readonly done: (result: Results[keyof Results]) => void
  readonly failed: (error: Error) => void
}

type Queues = Record<Urgency, Waiting[]>
const queues = (): Queues => ({ demand: [], upload: [], ahead: [], background: [] })

interface Thread {
  readonly worker: Worker
  /** Jobs that only this worker can do: they continue a session. */
  readonly own: Queues
  readonly running: Map<number, Waiting>
  sessions: number
}

/** Jobs of one session run in order, on one worker. */
export interface Session {
  readonly id: number
  run: <K extends Job['kind']>(
    urgency: Urgency,
    job: Extract<Job, { kind: K }>,
    transfer?: readonly ArrayBuffer[],
  ) => Promise<Results[K]>
  /** Once every job of it is done: one that came later would begin the session anew. */
  end: () => void
}

export interface HashPool {
  share: (segment: number, buffer: SharedArrayBuffer) => void
  run: <K extends Job['kind']>(
    urgency: Urgency,
    job: Extract<Job, { kind: K }>,
  ) => Promise<Results[K]>
  /** Somebody waits for it now: a job that still waits goes on as if it had come in with `demand`. */
  hurry: (job: Job) => void
  /** On the worker with the fewest sessions. */
  openSession: () => Session
  /** What is still to do is rejected. */
  close: () => Promise<void>
}

/**
 * Worker threads that read, hash and compare. The main thread keeps the queues, so that an urgent job passes
 * those that wait. `onFatal` hears of a worker that died: nothing can be verified any more, and the process
 * should stop.
 */
export function createHashPool(count: number, onFatal: (error: Error) => void): HashPool {
  const shared = queues()
  let nextJob = 0
  let nextSession = 0
  let dead: Error | undefined

  const threads = Array.from({ length: count }, (): Thread => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), {
      name: 'hash',
      // A worker makes little garbage, and its bytes are in shared slots: left alone it would let tens of
      // megabytes of dead digests pile up.
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    })
    const thread: Thread = { worker, own: queues(), running: new Map(), sessions: 0 }
    worker.on('message', (message: FromWorker) => {
      const waiting = thread.running.get(message.id)
      thread.running.delete(message.id)
      feed(thread)
      if ('error' in message) waiting?.failed(message.error)
      else waiting?.done(message.result)
    })
    worker.on('error', die)
    worker.on('exit', () => {
      die(new Error('a hash worker exited'))
    })
    return thread
  })

  function die(error: Error): void {
    if (dead !== undefined) return
    stopAll(error)
    onFatal(error)
  }

  function stopAll(error: Error): void {
    dead = error
    for (const { running, own } of threads) {
      for (const waiting of running.values()) waiting.failed(error)
      running.clear()
      rejectAll(own, error)
    }
    rejectAll(shared, error)
  }

  function feed(thread: Thread): void {
    while (thread.running.size < AT_HAND) {
      const waiting = pick(thread)
      if (waiting === undefined) return
      const id = nextJob++
      thread.running.set(id, waiting)
      post(thread, { kind: 'job', id, job: waiting.job }, waiting.transfer)
    }
  }

  // Of one urgency, a worker's own jobs go first: no other worker can take them off its hands.
  function pick(thread: Thread): Waiting | undefined {
    for (const urgency of URGENCIES) {
      const waiting = thread.own[urgency].shift() ?? shared[urgency].shift()
      if (waiting !== undefined) return waiting
    }
    return undefined
  }

  function enqueue<K extends Job['kind']>(
    urgency: Urgency,
    job: Extract<Job, { kind: K }>,
    transfer: readonly ArrayBuffer[],
    thread?: Thread,
  ): Promise<Results[K]> {
    if (dead !== undefined) return Promise.reject(dead)
    return new Promise<Results[K]>((resolve, reject) => {
      // The worker answers a job of kind K with Results[K]: worker.ts is checked against the same table.
      const done = resolve as (result: Results[keyof Results]) => void
      const queue = (thread?.own ?? shared)[urgency]
      queue.push({ job, transfer, done, failed: reject })
      if (thread !== undefined) feed(thread)
      else for (const each of [...threads].sort(byLoad)) feed(each)
    })
  }

  return {
    share: (segment, buffer) => {
      for (const thread of threads) post(thread, { kind: 'segment', segment, buffer }, [])
    },
    run: (urgency, job) => enqueue(urgency, job, []),
    hurry: (job) => {
      for (const urgency of URGENCIES) {
        const at = shared[urgency].findIndex((waiting) => waiting.job === job)
        if (at >= 0) shared.demand.push(...shared[urgency].splice(at, 1))
      }
    },
    openSession: () => {
      const thread = threads.toSorted((a, b) => a.sessions - b.sessions)[0]
      if (thread === undefined) throw new Error('a pool has at least one worker')
      const id = nextSession++
      thread.sessions += 1
      return {
        id,
        run: (urgency, job, transfer = []) => enqueue(urgency, job, transfer, thread),
        end: () => {
          thread.sessions -= 1
          if (dead === undefined) {
            post(
              thread,
              { kind: 'job', id: nextJob++, job: { kind: 'end_session', session: id } },
              [],
            )
          }
        },
      }
    },
    close: async () => {
      stopAll(dead ?? new Error('the hash pool is closed'))
      await Promise.all(threads.map(({ worker }) => worker.terminate()))
    },
  }
}

const byLoad = (a: Thread, b: Thread): number => a.running.size - b.running.size

function rejectAll(waiting: Queues, error: Error): void {
  for (const urgency of URGENCIES)
    for (const { failed } of waiting[urgency].splice(0)) failed(error)
}

const post = ({ worker }: Thread, message: ToWorker, transfer: readonly ArrayBuffer[]): void => {
  worker.postMessage(message, transfer)
}
