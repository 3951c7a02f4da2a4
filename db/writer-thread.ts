import { dirname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { WriterOptions } from './transactions.ts'
import { errorData, errorFrom, OPENING, type ArgumentsOf, type Call, type Method } from './wire.ts'
import type { Reply, ResultOf } from './wire.ts'

type Ask = <M extends Method>(
  method: M,
  args: ArgumentsOf<M>,
  transfer?: readonly ArrayBuffer[],
) => Promise<ResultOf<M>>

/** The main thread's end of the writer. */
export interface Writer {
  /** Calls run in the order in which they are made. Rejects, never hangs, when the writer dies. */
  readonly ask: Ask
  /** Resolves when the thread has ended. */
  readonly ended: Promise<void>
}

/** Resolves when the writer has the ledger open; rejects with LedgerRefused when it can't be opened. */
export async function startWriter(options: WriterOptions): Promise<Writer> {
  const pending = new Map<number, (reply: Reply) => void>()
  const worker = new Worker(new URL('./writer.ts', import.meta.url), { workerData: options })
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', () => {
      resolve()
    })
  })
  const folder = dirname(options.file)
  let lastId = OPENING
  let death: Error | undefined

  const expect = <M extends Method>(id: number): Promise<ResultOf<M>> =>
    new Promise((resolve, reject) => {
      pending.set(id, (reply) => {
        // The writer answers a call with that method's result.
        if (reply.ok) resolve(reply.value as ResultOf<M>)
        else reject(errorFrom(reply.error))
      })
    })
  const settle = (reply: Reply): void => {
    const done = pending.get(reply.id)
    pending.delete(reply.id)
    done?.(reply)
  }
  const die = (why: string): void => {
    death ??= new Error(`the ledger's writer has stopped: ${why}`)
    const error = { kind: 'other', message: death.message, code: undefined } as const
    for (const id of [...pending.keys()]) settle({ id, ok: false, error })
  }

  worker.on('message', settle)
  worker.on('error', (error: unknown) => {
    die(String(error))
  })
  worker.on('exit', (code) => {
    die(`exit code ${code}`)
  })

  const ask: Ask = (method, args, transfer = []) => {
    if (death !== undefined) return Promise.reject(death)
    const call: Call<typeof method> = { id: ++lastId, method, args }
    const reply = expect<typeof method>(call.id)
    try {
      worker.postMessage(call, transfer)
    } catch (error) {
      // What can't be cloned, such as arrays that went with an earlier call.
      settle({ id: call.id, ok: false, error: errorData(error, folder) })
    }
    return reply
  }

  try {
    await expect<'ping'>(OPENING)
  } catch (error) {
    await worker.terminate()
    throw error
  }
  return { ask, ended }
}
