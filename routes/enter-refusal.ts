import type { FastifyRequest } from 'fastify'
import { RegistryError } from '../src/errors.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { MAX_SUBJECT, principalOf } from './authenticate.ts'
import { actorOf } from './checkpoint-params.ts'

/** What tells of someone reaching for what isn't theirs; other mistakes are the caller's own affair. */
const REACHING = new Set(['FORBIDDEN', 'TAG_PROTECTED', 'UNAUTHENTICATED'])

/** Does what a known caller asks for, and has it entered in the audit log when the caller may not. */
export async function enterRefusal<T>(
  { audit }: Strongroom,
  request: FastifyRequest,
  subject: string,
  act: () => T,
): Promise<Awaited<T>> {
  try {
    return await act()
  } catch (error) {
    if (error instanceof RegistryError && REACHING.has(error.code)) {
      const { method, routeOptions } = request
      audit.refused({
        action: 'refuse',
        ...actorOf(principalOf(request), request),
        subject: subject.slice(0, MAX_SUBJECT),
        outcome: error.code,
        details: { method, route: routeOptions.url },
      })
    }
    throw error
  }
}
