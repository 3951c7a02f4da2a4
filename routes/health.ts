import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import packageJson from '../package.json' with { type: 'json' }
import type { SlotState } from '../src/detect/detection.ts'
import { RegistryError } from '../src/errors.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { answers } from './schemas.ts'

const Ready = Type.Object({
  status: Type.String(),
  detectors: Type.Array(
    Type.Object({
      slot: Type.String({ description: 'primary or canary' }),
      state: Type.String({ description: 'serving, loading, absent or failed' }),
      provider: Type.Union([Type.String(), Type.Null()]),
      fell_back: Type.Union([Type.Array(Type.String()), Type.Null()], {
        description: 'Operators that the provider left to the CPU; null where not known',
      }),
      problem: Type.Union([Type.String(), Type.Null()], {
        description: 'Why nothing serves, or why what the ref leads to by now doesn’t',
      }),
    }),
  ),
})

/** Told to whoever asks: no names and no digests. */
const tellSlot = ({
  slot,
  state,
  model,
  problem,
}: SlotState): Static<typeof Ready>['detectors'][0] => ({
  slot,
  state,
  provider: model?.provider ?? null,
  fell_back: model?.fellBack?.slice() ?? null,
  problem: problem?.why ?? null,
})

/** A server that starts is not a broken one. */
const sentenceOf = (failing: readonly string[]): string =>
  failing.every((check) => check === 'detector')
    ? 'The detector is being loaded.'
    : 'The server can’t do its work.'

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
        description:
          'Waits for the first load of each configured detector to succeed or fail. From then on their state is told here and fails nothing.',
        response: answers({ 200: Ready }, 503),
      },
    },
    async () => {
      const failing = isStopping() ? ['stopping'] : await strongroom.failingChecks()
      if (failing.length > 0) throw new RegistryError('NOT_READY', sentenceOf(failing), { failing })
      return { status: 'ready', detectors: strongroom.detect.slots().map(tellSlot) }
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
