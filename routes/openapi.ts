import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import packageJson from '../package.json' with { type: 'json' }

/** The OpenAPI document is made from the schemas that requests are checked by. Register before any route. */
export async function documentRoutes(
  app: FastifyInstance,
  publicUrl: string | undefined,
): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Strongroom',
        version: packageJson.version,
        description: packageJson.description,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: publicUrl ?? '/' }],
      tags: [
        {
          name: 'publishing',
          description: 'Bring checkpoints in; whatever isn’t valid safetensors is refused',
        },
        { name: 'reading', description: 'Get checkpoints out; every byte is verified' },
        { name: 'access', description: 'Tokens' },
        { name: 'audit', description: 'Who did what' },
        { name: 'operating', description: 'Health and metrics' },
      ],
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    },
    transform: ({ schema, url, route }) => {
      const access = route.config?.access
      const security = access === 'open' || access === undefined ? [] : [{ token: [] }]
      return { schema: { ...schema, security }, url }
    },
  })
  app.get('/openapi.json', { config: { access: 'open' }, schema: { hide: true } }, () =>
    app.swagger(),
  )
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    uiConfig: { deepLinking: true },
  })
}
