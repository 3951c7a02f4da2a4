import type { FastifyInstance } from 'fastify'
import { isReservedOwner } from '../../src/registry/names.ts'

/** Options of a route whose address begins with an owner: it is none where no checkpoint can have such an owner. */
export const OWNED = { constraints: { owner: 'free' } } as const

/** Whether a route's pattern begins with an owner, whatever its parameter is called. */
export const isOwned = (pattern: string): boolean => pattern.startsWith('/:')

/** The origin is there in a request to a proxy, which RFC 9112 §3.2.2 has every server understand. */
const FIRST_OF_MORE = /^(?:https?:\/\/[^/]*)?\/([A-Za-z0-9][A-Za-z0-9._-]*)\//i

/** Whether an address begins with what an owner may be called, and not with a name of the server's own. */
export function beginsWithOwner(address: string): boolean {
  const [, first] = FIRST_OF_MORE.exec(address) ?? []
  return first !== undefined && !isReservedOwner(first)
}

/** Has the router look at the owner, so that `/v1/nowhere` leads nowhere however many routes begin with `/:owner`. */
export function routeByOwner(app: FastifyInstance): void {
  app.addConstraintStrategy({
    name: 'owner',
    storage: () => {
      const handlers = new Map<unknown, ReturnType<ReturnType<Storage>['get']>>()
      return {
        get: (key) => handlers.get(key) ?? null,
        set: (key, handler) => {
          handlers.set(key, handler)
        },
      }
    },
    deriveConstraint: ({ url = '' }) => (beginsWithOwner(url) ? 'free' : undefined),
    mustMatchWhenDerived: false,
  })
}

type Storage = Parameters<FastifyInstance['addConstraintStrategy']>[0]['storage']
