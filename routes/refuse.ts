import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Problem } from './problem.ts'

/** How much more of a refused body is taken in, so that its sender gets to read the answer. */
const DRAIN_BYTES = 64 * 1024 * 1024
const DRAIN_MS = 10_000

/** Requests whose sender waits for `100 Continue` before it sends its body (RFC 9110 §10.1.1). */
const awaitingContinue = new WeakSet<IncomingMessage>()

export const markAwaitingContinue = (request: IncomingMessage): void => {
  awaitingContinue.add(request)
}

/** Asks for the body, once everything that could refuse it unread has been checked. */
export function askForBody(request: IncomingMessage, response: ServerResponse): void {
  if (awaitingContinue.delete(request)) response.writeContinue()
}

/**
 * Sends a refusal. A body that is still coming is met with the complete answer at once and then drained:
 * clients that send before they read would otherwise see a reset connection instead (measured with curl,
 * Python's requests and fetch). A body that was never asked for costs nothing.
 */
export function refuse(
  request: FastifyRequest,
  reply: FastifyReply,
  problem: Problem,
): FastifyReply {
  if (reply.raw.headersSent) {
    reply.raw.destroy()
    return reply
  }
  if (awaitingContinue.has(request.raw)) reply.header('connection', 'close')
  else if (isBodyPending(request.raw)) return refuseAndDrain(request, reply, problem)
  else letGo(request.raw)
  return reply.code(problem.status).headers(problem.headers).send(problem.body)
}

/** What came of the body, and nobody will read: kept, it would outlive its request, and the clock that runs with it. */
function letGo(request: IncomingMessage): void {
  request.unpipe()
  request.removeAllListeners('readable')
  request.resume()
}

/** Whether bytes of the body are still to come. */
export function isBodyPending(request: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  return !request.complete && (coding !== undefined || Number(length ?? 0) > 0)
}

function refuseAndDrain(
  request: FastifyRequest,
  reply: FastifyReply,
  problem: Problem,
): FastifyReply {
  reply.hijack()
  const { raw: incoming } = request
  const { raw: outgoing } = reply
  outgoing.writeHead(problem.status, {
    ...flat(reply.getHeaders()),
    ...problem.headers,
    'content-length': Buffer.byteLength(problem.body),
    connection: 'close',
  })
  // The answer to a HEAD has no body to push its headers out with.
  outgoing.flushHeaders()
  outgoing.write(problem.body)
  let drained = 0
  const timer = setTimeout(() => incoming.destroy(), DRAIN_MS)
  incoming.on('data', (chunk: Uint8Array) => {
    drained += chunk.length
    if (drained > DRAIN_BYTES) incoming.destroy()
  })
  incoming.on('error', () => undefined)
  incoming.once('end', () => outgoing.end())
  incoming.once('close', () => {
    clearTimeout(timer)
    outgoing.end()
  })
  letGo(incoming)
  return reply
}

const flat = (headers: Record<string, unknown>): Record<string, string | number | string[]> =>
  headers as Record<string, string | number | string[]>
