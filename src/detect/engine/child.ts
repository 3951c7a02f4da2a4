// The process in which a detector runs: onnxruntime holds the thread that calls it, and a crash in it takes no registry
// along. One process is one detector, from the message that loads it to the parent's letting go.

import { createHash } from 'node:crypto'
import { flushCompileCache } from 'node:module'
import { Socket } from 'node:net'
import process from 'node:process'
import { InputNotFinite } from './activations-chunks.ts'
import { load, NotLoaded, probe } from './load.ts'
import type { FromChild, Load, LoadFailure, ToChild, Work, WorkFailure } from './messages.ts'
import type { Pipeline } from './pipeline.ts'
import { NotFinite } from './text-chunks.ts'

/** Of the pipe that brings the detector's bytes. */
const BYTES_FD = 4

let pipeline: Pipeline | undefined
/** How each piece of work that goes on is dropped. */
const working = new Map<number, () => void>()

const tell = (message: FromChild): void => {
  // The parent may be gone: then so is this process, soon.
  process.send?.(message, () => undefined)
}

// What ends the server from a terminal is its business: it lets go of this process when it is done with it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
process.on('disconnect', () => {
  process.exit(0)
})
// A message might repeat what it failed on, and that might be a text.
process.on('uncaughtException', (error) => {
  process.stderr.write(`${framesOf(error) ?? ''}\n`)
  process.exit(1)
})
process.on('message', (message: ToChild) => {
  switch (message.kind) {
    case 'load':
      void answering(async () => {
        const bytes = await readBytes(message)
        const loaded = await load(bytes, message, (chunks, seconds) => {
          if (pipeline !== undefined) tell({ kind: 'ran', chunks, seconds })
        })
        pipeline = loaded.pipeline
        tell({ kind: 'loaded', facts: loaded.facts })
        // The next one needs not strip the types of these files again.
        flushCompileCache()
      })
      return
    case 'probe':
      void answering(async () => {
        await probe(message.provider)
        tell({ kind: 'runs' })
      })
      return
    case 'work':
      begin(message.id, message.work)
      return
    case 'drop':
      drop(message.id)
      return
    case 'ask':
      tell({ kind: 'alive' })
  }
})

async function answering(start: () => Promise<void>): Promise<void> {
  try {
    await start()
  } catch (error) {
    const failure: LoadFailure = error instanceof NotLoaded ? error.failure : 'ended'
    tell({ kind: 'refused', failure, why: error instanceof Error ? error.message : String(error) })
  }
}

async function readBytes({ sizeBytes, sha256 }: Load): Promise<Uint8Array> {
  const bytes = new Uint8Array(sizeBytes)
  const digest = createHash('sha256')
  let read = 0
  for await (const piece of new Socket({ fd: BYTES_FD, readable: true }) as AsyncIterable<Buffer>) {
    if (read + piece.length > sizeBytes) throw damaged()
    bytes.set(piece, read)
    digest.update(piece)
    read += piece.length
  }
  if (read < sizeBytes || digest.digest('hex') !== sha256) throw damaged()
  return bytes
}

const damaged = (): NotLoaded =>
  new NotLoaded('damaged', 'the detector’s bytes did not arrive as the ledger has them')

function begin(id: number, work: Work): void {
  const failed = (error: unknown): void => {
    working.delete(id)
    tell({ kind: 'failed', id, failure: failureOf(error), frames: framesOf(error) })
  }
  try {
    if (pipeline === undefined) throw new Error('no detector is loaded')
    const forget = pipeline(work, {
      result: (index, detection) => {
        tell({ kind: 'result', id, index, detection })
      },
      done: () => {
        working.delete(id)
        tell({ kind: 'done', id })
      },
      failed,
    })
    working.set(id, forget)
  } catch (error) {
    failed(error)
  }
}

function drop(id: number): void {
  const forget = working.get(id)
  // It may have ended while the wish to drop it was on its way.
  if (forget === undefined) return
  working.delete(id)
  forget()
  tell({ kind: 'dropped', id })
}

function failureOf(error: unknown): WorkFailure {
  if (error instanceof NotFinite) return 'not_finite'
  return error instanceof InputNotFinite ? 'input_not_finite' : 'fault'
}

/** Where it happened, without what it says. */
function framesOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const { stack = '', message } = error
  return stack.slice(stack.indexOf(message) + message.length).trim()
}
