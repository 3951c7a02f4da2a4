import process from 'node:process'
import { LocalError } from '../client/local-failure.ts'

/** Gives up at the first signal, so that what was begun is cleared away; the second one ends the process. */
export function abortOnSignal(): AbortSignal {
  const stop = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.once(name, () => {
      stop.abort(new LocalError(`given up after ${name}`, { isWrongUse: false }))
    })
  return stop.signal
}
