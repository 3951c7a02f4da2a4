// A thread that holds a session and runs one inference after the other: onnxruntime holds the thread that calls it.

import { parentPort } from 'node:worker_threads'
import type { Graph } from '../graph/graph.ts'
import { type Input, openSession, type Session } from './session.ts'

/** Sent first. As `workerData` the weights would stay for as long as the thread. */
export interface ToOpen {
  readonly graph: Graph
  readonly threads: number
}

/** Sent when what was sent before is answered. */
export interface ToWorker {
  readonly inputs: Readonly<Record<string, Input>>
  readonly outputs: readonly string[]
}

/** The first one, of nothing, says that there is a session; or there is none, and why. */
export type FromWorker =
  { readonly found: ReadonlyMap<string, Float32Array> } | { readonly error: string }

function tell(message: FromWorker): void {
  parentPort?.postMessage(message)
}

async function telling(find: () => Promise<ReadonlyMap<string, Float32Array>>): Promise<void> {
  try {
    tell({ found: await find() })
  } catch (error) {
    tell({ error: error instanceof Error ? error.message : String(error) })
  }
}

parentPort?.once('message', ({ graph, threads }: ToOpen) => {
  void telling(async () => {
    const session: Session = await openSession(graph, 'cpu', threads)
    parentPort?.on('message', ({ inputs, outputs }: ToWorker) => {
      void telling(() => session.run(inputs, outputs))
    })
    return new Map()
  })
})
