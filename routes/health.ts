import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import packageJson from '../package.json' with { type: 'json' }
import { RegistryError } from '../src/errors.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { answers } from './schemas.ts'

const open = { access: 'open' } as const
const tags = ['operating']

export function healthRoutes(
  app: FastifyInstance,
  strongroom: Strongroom,
  isStopping: () => boolean,
): void {
  const { config, metrics } = strongroom

  app.get(
    '/livez',
    {
      config: open,
      schema: {
        operationId: 'livez',
        tags,
        summary: 'The process answers',
        response: { 200: Type.Object({ status: Type.String() }) },
      },
    },
    () => ({ status: 'alive' }),
  )

  app.get(
    '/readyz',
    {
      config: open,
      schema: {
        operationId: 'readyz',
        tags,
        summary: 'Ledger and vault can be written, or read where that is all, and there is room',
        response: answers({ 200: Type.Object({ status: Type.String() }) }, 503),
      },
    },
    async () => {
      const failing = isStopping() ? ['stopping'] : await strongroom.failingChecks()
      if (failing.length > 0)
        throw new RegistryError('NOT_READY', 'The server can’t do its work.', { failing })
      return { status: 'ready' }
    },
  )

  app.get(
    '/health',
    {
      config: open,
      schema: {
        operationId: 'health',
        tags,
        summary: 'Status and version',
        response: { 200: Type.Object({ status: Type.String(), version: Type.String() }) },
      },
    },
    () => ({ status: 'healthy', version: packageJson.version }),
  )

  app.get(
    '/metrics',
    {
      config: { access: config.METRICS_PUBLIC ? 'open' : 'metrics' },
      schema: {
        operationId: 'metrics',
        tags,
        summary: 'Prometheus metrics',
        response: answers(
          {
            200: {
              description: 'Text exposition format',
              content: { 'text/plain': { schema: {} } },
            },
          },
          ...[401, 403],
        ),
      },
    },
    async (_request, reply) =>
      reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  )
}
