// The ledger's writer: a worker thread with the only connection that writes, so that a sync of the disk, or half a
// million rows, never holds the event loop of the server.

import { dirname } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { openTransactions, type WriterOptions } from './transactions.ts'
import { errorData, OPENING, perform, transferable, type Call, type Reply } from './wire.ts'

const isPublish = (call: Call): call is Call<'publish'> => call.method === 'publish'
const isStage = (call: Call): call is Call<'stageUpload'> => call.method === 'stageUpload'

function filesOf(call: Call): Parameters<typeof transferable>[0] {
  if (isPublish(call)) return call.args[0].files
  return isStage(call) ? [call.args[0].file] : []
}

function serve(port: NonNullable<typeof parentPort>, options: WriterOptions): void {
  const reply = (id: number, result: () => unknown): void => {
    let message: Reply
    try {
      message = { id, ok: true, value: result() }
    } catch (error) {
      message = { id, ok: false, error: errorData(error, dirname(options.file)) }
    }
    port.postMessage(message)
  }
  reply(OPENING, () => {
    const transactions = openTransactions(options)
    port.on('message', (call: Call) => {
      reply(call.id, () => perform(transactions, call))
      // Columns of half a million tensors would otherwise stay until this thread's next collection.
      for (const buffer of transferable(filesOf(call))) buffer.transfer(0)
      if (call.method === 'close') port.close()
    })
  })
}

if (parentPort !== null) serve(parentPort, workerData as WriterOptions)
