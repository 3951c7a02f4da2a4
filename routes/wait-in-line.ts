import type { FastifyRequest } from 'fastify'
import { RegistryError } from '../src/errors.ts'
import type { Gate } from '../src/gate.ts'

const MAX_WAITING = 8
const RETRY_AFTER_SECONDS = 30

/**
 * Waits until the gate lets a long piece of work through, however long nothing moves on the connection meanwhile.
 *
 * @param what is waited for, in the plural.
 * @returns what lets go of the place.
 * @throws {RegistryError} TOO_MANY_REQUESTS where the line is long already.
 */
export function waitInLine(gate: Gate, request: FastifyRequest, what: string): Promise<() => void> {
  if (gate.waiting() >= MAX_WAITING) {
    throw new RegistryError('TOO_MANY_REQUESTS', `As many ${what} as allowed are waiting.`, {
      retry_after: RETRY_AFTER_SECONDS,
    })
  }
  request.raw.socket.setTimeout(0)
  return gate.enter()
}
