import type { FastifyInstance } from 'fastify'
import { readOnly } from '../src/errors.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Served by a server that only reads, too, although its method says that it may change something. */
    changesNothing?: boolean
  }
}

const SAFE = ['GET', 'HEAD']

/** Refuses whatever could write, once its caller is known and before any byte of a body is read. */
export function refuseWrites(app: FastifyInstance): void {
  app.addHook('onRequest', (request, _reply, done) => {
    const { config } = request.routeOptions
    if (SAFE.includes(request.method) || config.changesNothing === true) done()
    else done(readOnly())
  })
}
