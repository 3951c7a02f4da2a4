import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema } from 'fastify'
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
        {
          name: 'detection',
          description: 'Find personal data; no text is kept, or in any log',
        },
        {
          name: 'migration',
          description: 'Turn legacy checkpoints into safetensors without running anything in them',
        },
        { name: 'presidio', description: 'The same, as Presidio’s analyzer is asked for it' },
        {
          name: 'hub',
          description:
            'What clients of the Hugging Face Hub ask for; `HF_ENDPOINT` leads them here',
        },
        { name: 'access', description: 'Tokens' },
        { name: 'audit', description: 'Who did what' },
        { name: 'operating', description: 'Health and metrics' },
      ],
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    },
    transform: ({ schema, url, route }) => {
      const access = route.config?.access
      const isOpen = access === 'open' || access === undefined
      const inputs = documentInputs(schema, isSharedPlace(url) || url.endsWith('*'))
      return {
        schema: isOpen ? { ...inputs, security: [] } : documentAccess(inputs),
        url: documentedUrl(url),
      }
    },
  })
  app.get(
    '/openapi.json',
    {
      config: { access: 'open' },
      schema: { operationId: 'openapi', tags: ['operating'], summary: 'This document' },
    },
    () => app.swagger(),
  )
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: true,
    // Nothing is asked of other hosts, and a registry without TLS has no https to be upgraded to.
    transformStaticCSP: (policy) =>
      policy.replace(/ validator\.swagger\.io| upgrade-insecure-requests;| https:/g, ''),
    theme: { title: 'Strongroom' },
    uiConfig: { deepLinking: true },
  })
}

/** Whether what is a version for one method of it is any ref for another. */
const isSharedPlace = (url: string): boolean => url.startsWith('/v1/checkpoints/')

/** One place has one spelling in the document: a version is a ref there, and the router's `*` is the path of a file. */
const documentedUrl = (url: string): string =>
  (isSharedPlace(url) ? url.replace(/:version$/, ':ref') : url).replace(/\*$/, ':path')

interface Input {
  readonly properties?: Readonly<Record<string, { readonly default?: unknown }>>
  readonly required?: readonly string[]
}

function documentInputs(schema: FastifySchema, isShared: boolean): FastifySchema {
  const { params, querystring, body } = schema as Record<string, Input | undefined>
  return {
    ...schema,
    ...(params === undefined ? {} : { params: isShared ? renamed(params) : params }),
    ...(querystring === undefined ? {} : { querystring: withoutDefaulted(querystring) }),
    ...(body === undefined ? {} : { body: withoutDefaulted(body) }),
  }
}

function renamed({ properties = {} }: Input): object {
  const { version, '*': path, ...others } = properties
  return {
    type: 'object',
    properties: { ...others, ...(version && { ref: version }), ...(path && { path }) },
  }
}

/** What has a default isn't asked of the caller, though the handler can count on it. */
function withoutDefaulted(input: Input): object {
  const { properties = {}, required } = input
  if (required === undefined) return input
  return {
    ...input,
    required: required.filter((name) => properties[name]?.default === undefined),
  }
}

/** How every route that asks for a token may refuse before it looks at anything else. */
function documentAccess(schema: FastifySchema): FastifySchema {
  const response = schema.response as Readonly<Record<number, object | undefined>>
  const refused = (description: string): object => ({ ...response[401], description })
  return {
    ...schema,
    security: [{ token: [] }],
    response: {
      400: refused('Refused: Bad Request'),
      429: refused('Refused: Too Many Requests'),
      ...response,
    },
  }
}
