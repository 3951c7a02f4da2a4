import type { IncomingMessage } from 'node:http'
import type { Pace } from '../src/http/pace.ts'
import { isBodyPending } from './refuse.ts'

/**
 * Ends a request whose body drips: a quarter of the least rate, over four times the stall time. Files have a pace of their own,
 * which answers; this is for what lies around them, the text of a form or of JSON. A body that waits to be
 * read is the server's to answer for, not its sender's.
 */
export function watchBody(request: IncomingMessage, { windowMs, minBytesPerSecond }: Pace): void {
  // A request that is over tells nobody any more when it ends.
  if (request.destroyed || !isBodyPending(request)) return
  const { socket } = request
  const due = Math.max(1, (minBytesPerSecond * windowMs) / 1000)
  let before = socket.bytesRead
  const timer = setInterval(() => {
    const arrived = socket.bytesRead - before
    before = socket.bytesRead
    if (arrived < due && request.readableLength === 0) request.destroy()
  }, windowMs * 4)
  const stop = (): void => {
    clearInterval(timer)
  }
  request.once('end', stop)
  request.once('close', stop)
}
