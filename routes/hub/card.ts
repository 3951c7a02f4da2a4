import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { RegistryError } from '../../src/errors.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { takeAnyBody } from '../intake.ts'
import { hubAnswers } from './hub-schemas.ts'

const Findings = Type.Object({
  errors: Type.Array(Type.String()),
  warnings: Type.Array(Type.String()),
})

/**
 * A card is text like any other, which nothing here parses: so there is nothing to say of its YAML, and no bomb in it. Some
 * clients ask without a token, so what they send is counted and not kept.
 */
export async function cardRoute(app: FastifyInstance, { config }: Strongroom): Promise<void> {
  // As JSON, each byte of the card may take six.
  const limit = Math.max(config.MAX_SIDECAR_BYTES * 2, 1024 * 1024)
  await app.register((scope, _options, registered) => {
    takeAnyBody(scope)
    scope.post(
      '/api/validate-yaml',
      {
        config: { access: 'open', changesNothing: true },
        schema: {
          operationId: 'hubValidateYaml',
          tags: ['hub'],
          summary: 'Nothing is asked of a model card but that it is text',
          response: hubAnswers({ 200: Findings }, 413),
        },
      },
      async ({ raw }) => {
        let bytes = 0
        // Its sender is to read the answer: the stream lives on.
        for await (const chunk of raw.iterator({ destroyOnReturn: false })) {
          bytes += (chunk as Uint8Array).length
          if (bytes > limit)
            throw new RegistryError('TOO_LARGE', 'The card is too large.', { limit })
        }
        return { errors: [], warnings: [] }
      },
    )
    registered()
  })
}
