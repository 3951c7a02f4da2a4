import { Worker } from 'node:worker_threads'
import type { Graph } from '../graph/graph.ts'
import type { Session } from './session.ts'
import type { FromWorker, ToWorker, ToOpen } from './session-worker.ts'

/**
 * A session on the CPU of which some inferences run side by side, each on threads of its own: two threads that share one
 * wait for each other after every operator.
 *
 * @param lanes inferences at once, each with weights of its own in memory.
 * @param threads of each.
 */
export async function openSideBySide(
  graph: Graph,
  lanes: number,
  threads: number,
): Promise<Session> {
  const all = await Promise.all(Array.from({ length: lanes }, () => openLane({ graph, threads })))
  const idle = [...all]
  return {
    provider: 'cpu',
    lanes,
    run: async (inputs, outputs) => {
      const lane = idle.pop()
      if (lane === undefined) throw new Error('more inferences at once than there are lanes')
      try {
        return await lane.run({ inputs, outputs })
      } finally {
        idle.push(lane)
      }
    },
    fellBack: () => Promise.resolve([]),
    release: async () => {
      await Promise.all(all.map(({ close }) => close()))
    },
  }
}

type Found = ReadonlyMap<string, Float32Array>

interface Lane {
  readonly run: (ask: ToWorker) => Promise<Found>
  readonly close: () => Promise<unknown>
}

async function openLane(data: ToOpen): Promise<Lane> {
  const worker = new Worker(new URL('./session-worker.ts', import.meta.url), {
    resourceLimits: { maxYoungGenerationSizeMb: 4 },
  })
  let settle: { resolve: (found: Found) => void; reject: (error: Error) => void } | undefined

  /** The worker's next message. */
  const answer = (): Promise<Found> =>
    new Promise((resolve, reject) => {
      settle = { resolve, reject }
    })

  worker.on('message', (message: FromWorker) => {
    if ('error' in message) settle?.reject(new Error(message.error))
    else settle?.resolve(message.found)
  })
  worker.once('exit', () => settle?.reject(new Error('a thread of the engine ended')))

  const opened = answer()
  worker.postMessage(data)
  await opened
  return {
    run: (ask) => {
      const answered = answer()
      worker.postMessage(ask)
      return answered
    },
    close: () => worker.terminate(),
  }
}
