import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Detect, Slot, Surface } from '../src/detect/detection.ts'
import { asRegistryError } from './error-handler.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Where a detector was asked. */
    detectorSlot: Slot | undefined
  }
}

const SURFACES: ReadonlyMap<string | undefined, Surface> = new Map([
  ['/detect', 'detect'],
  ['/detect-pii', 'detect-pii'],
  ['/analyze', 'analyze'],
  ['/detect/activations', 'activations'],
])

/** Counts each request of the instance's routes once, when it is over, by what became of it. */
export function countDetections(app: FastifyInstance, { count }: Detect): void {
  const codes = new WeakMap<FastifyRequest, string>()
  const watched = new WeakSet<FastifyRequest>()
  app.decorateRequest('detectorSlot', undefined)

  function watch(request: FastifyRequest, { raw }: FastifyReply): void {
    const surface = SURFACES.get(request.routeOptions.url)
    if (surface === undefined || watched.has(request)) return
    watched.add(request)
    const tell = (): void => {
      // A refusal counts as what it is, though the rest of a body that nobody wants kept it from its caller.
      const outcome = codes.get(request) ?? (raw.writableFinished ? 'ok' : 'ABORTED')
      count(surface, outcome, request.detectorSlot)
    }
    if (raw.closed) tell()
    else raw.once('close', tell)
  }

  app.addHook('onRequest', (request, reply, done) => {
    watch(request, reply)
    done()
  })
  // What was refused by who asks never comes to the hook above.
  app.addHook('onError', (request, reply, error, done) => {
    const hungUp = request.raw.destroyed && !request.raw.complete
    if (!hungUp) codes.set(request, asRegistryError(error).code)
    watch(request, reply)
    done()
  })
}
