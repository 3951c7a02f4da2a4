import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type HTTPMethods,
  LogController,
} from 'fastify'
import { randomUUID } from 'node:crypto'
import type { Server, ServerOptions } from 'node:http'
import { countStrangers } from '../src/access/strangers.ts'
import { RegistryError } from '../src/errors.ts'
import type { Metrics } from '../src/metrics.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { auditRoutes } from './audit.ts'
import { authenticateAll } from './authenticate.ts'
import { watchBody } from './body-pace.ts'
import { checkpointRoutes } from './checkpoints.ts'
import { detectionRoutes } from './detection-routes.ts'
import { diffRoutes } from './diff.ts'
import { answer, answerParseError, handleErrors, JSON_BYTES, markOwed } from './error-handler.ts'
import { fileRoutes } from './files.ts'
import { healthRoutes } from './health.ts'
import { hubRoutes } from './hub/hub-routes.ts'
import { isOwned, OWNED, routeByOwner } from './hub/owned-address.ts'
import { migrationRoutes } from './migration.ts'
import { documentRoutes } from './openapi.ts'
import { policyRoutes } from './policy.ts'
import { publishRoutes } from './publish.ts'
import { refuseWrites } from './read-only.ts'
import { askForBody, markAwaitingContinue } from './refuse.ts'
import { selectRoutes } from './select.ts'
import { serializers } from './serializers.ts'
import { createServeBytes } from './serve-bytes.ts'
import { tensorRoutes } from './tensors.ts'
import { tagRoutes } from './tags.ts'
import { tokenRoutes } from './tokens.ts'
import { validators } from './validators.ts'
import { withdrawRoutes } from './withdraw.ts'

/** Names are at most 512 bytes, and each byte may come percent-encoded. */
const MAX_PARAM_LENGTH = 1536
const HEADERS_TIMEOUT_MS = 30_000
const KEEP_ALIVE_MS = 5_000

export interface App {
  readonly fastify: FastifyInstance
  /** `/readyz` says so from now on. */
  readonly markStopping: () => void
  /** Resolves once no handler runs any more, whether or not its caller is still there. */
  readonly settled: () => Promise<unknown>
}

/** The registry's HTTP. */
export async function buildApp(strongroom: Strongroom, log: FastifyBaseLogger): Promise<App> {
  const { config, metrics } = strongroom
  let stopping = false
  const fastify = Fastify({
    loggerInstance: log,
    logController: new LogController({
      disableRequestLogging: true,
      requestIdLogLabel: 'request_id',
    }),
    genReqId: () => randomUUID(),
    trustProxy: config.TRUST_PROXY,
    bodyLimit: JSON_BYTES,
    http: { requireHostHeader: false, ...headerTimes(config.STALL_TIMEOUT_MS) },
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: true,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    frameworkErrors: (error, request, reply) => {
      void answer(error, request, reply)
    },
    clientErrorHandler: answerParseError,
  })
  routeByOwner(fastify)
  fastify.setValidatorCompiler(validators())
  fastify.setSerializerCompiler(serializers())
  prepareServer(fastify.server, fastify, config.MAX_CONNECTIONS)

  const strangers = countStrangers((address, requests) => {
    log.info({ address, requests }, 'requests without a good token or a route, in a minute')
  })
  fastify.addHook('onClose', strangers.close)
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id)
    // A socket that is gone no longer knows whose it was.
    const address = request.ip
    reply.raw.once('close', () => {
      recordRequest(request, reply, address, metrics)
    })
    // Closes a connection on which nothing moves; routes that work in silence lift it.
    request.raw.socket.setTimeout(config.STALL_TIMEOUT_MS)
    done()
  })
  handleErrors(fastify)
  await authenticateAll(fastify, strongroom, strangers)
  if (config.READ_ONLY) refuseWrites(fastify)
  fastify.addHook('preParsing', (request, reply, _payload, done) => {
    askForBody(request.raw, reply.raw)
    watchBody(request.raw, {
      windowMs: config.STALL_TIMEOUT_MS,
      minBytesPerSecond: config.MIN_UPLOAD_RATE,
    })
    done()
  })
  const handling = trackHandlers(fastify)
  const methodsByUrl = collectMethods(fastify)
  await documentRoutes(fastify, config.PUBLIC_URL)
  healthRoutes(fastify, strongroom, () => stopping)
  tokenRoutes(fastify, strongroom)
  auditRoutes(fastify, strongroom)
  checkpointRoutes(fastify, strongroom)
  const serveBytes = createServeBytes(strongroom)
  fileRoutes(fastify, strongroom, serveBytes)
  tensorRoutes(fastify, strongroom, serveBytes)
  selectRoutes(fastify, strongroom, serveBytes)
  diffRoutes(fastify, strongroom)
  policyRoutes(fastify, strongroom)
  tagRoutes(fastify, strongroom)
  withdrawRoutes(fastify, strongroom)
  await publishRoutes(fastify, strongroom)
  await migrationRoutes(fastify, strongroom)
  await detectionRoutes(fastify, strongroom)
  await hubRoutes(fastify, strongroom, serveBytes)
  refuseOtherMethods(fastify, methodsByUrl)
  await fastify.ready()

  return {
    fastify,
    markStopping: () => {
      stopping = true
      // A connection whose answer ends from now on has nothing to wait for.
      fastify.server.keepAliveTimeout = 1
    },
    settled: () => Promise.allSettled(handling),
  }
}

/** What the handlers of all routes registered from now on are busy with. */
function trackHandlers(fastify: FastifyInstance): ReadonlySet<Promise<unknown>> {
  const handling = new Set<Promise<unknown>>()
  fastify.addHook('onRoute', (route) => {
    const { handler } = route
    route.handler = function (request, reply) {
      const result: unknown = handler.call(this, request, reply)
      if (result instanceof Promise) {
        const done = (): void => {
          handling.delete(result)
        }
        handling.add(result)
        result.then(done, done)
      }
      return result
    }
  })
  return handling
}

/** One line and one count a request, also of one whose caller hung up before the end. */
function recordRequest(
  request: FastifyRequest,
  reply: FastifyReply,
  address: string,
  metrics: Metrics,
): void {
  const route = routeOf(request)
  const { method } = request
  const status = reply.raw.statusCode
  metrics.requests.inc({ method, route, status })
  metrics.requestSeconds.observe({ method, route }, reply.elapsedTime / 1000)
  const { owner, name, version, ref, rev } = (request.params ?? {}) as Record<string, string>
  request.log.info(
    {
      method,
      route,
      status,
      ms: Math.round(reply.elapsedTime),
      address,
      token: request.principal?.tokenId,
      ...(request.is404 ? {} : withoutSecrets({ owner, name, ref: version ?? ref ?? rev })),
      ...(reply.raw.writableFinished ? {} : { aborted: true }),
    },
    'request',
  )
}

/** A token pasted in the wrong place is still a token. */
const withoutSecrets = (names: Readonly<Record<string, string | undefined>>): object =>
  Object.fromEntries(
    Object.entries(names).map(([key, name]) => [key, name?.includes('sr_') ? '[redacted]' : name]),
  )

const routeOf = (request: FastifyRequest): string =>
  request.is404 ? 'unknown' : (request.routeOptions.url ?? 'unknown')

/** Headers that trickle in are ended like anything else that stalls; Node looks every so often. */
function headerTimes(stallTimeoutMs: number): ServerOptions {
  const headersTimeout = Math.min(HEADERS_TIMEOUT_MS, stallTimeoutMs)
  return { headersTimeout, connectionsCheckingInterval: Math.ceil(headersTimeout / 2) }
}

function prepareServer(server: Server, fastify: FastifyInstance, maxConnections: number): void {
  server.maxConnections = maxConnections
  server.on('request', markOwed)
  // Left to itself, Node asks for the body before anyone has looked at the request.
  server.on('checkContinue', (request, response) => {
    markOwed(request, response)
    markAwaitingContinue(request)
    fastify.routing(request, response)
  })
  server.on('checkExpectation', (request, response) => {
    response.setHeader('connection', 'close')
    // No route looks at Expect: the one expectation there is was handled above.
    request.url = UNMET_EXPECTATION
    request.method = 'GET'
    fastify.routing(request, response)
  })
}

const UNMET_EXPECTATION = '/unmet-expectation'
const METHODS: readonly HTTPMethods[] = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
]

function collectMethods(fastify: FastifyInstance): Map<string, Set<string>> {
  const byUrl = new Map<string, Set<string>>()
  fastify.addHook('onRoute', (route) => {
    const { url, method } = route
    // Plugins that serve static pages don't know of `access`.
    if (url.startsWith('/docs')) route.config = { access: 'open', ...route.config }
    // The same place in the router, whatever the parameters are called.
    const place = url.replace(/:\w+/g, ':param')
    const methods = byUrl.get(place) ?? new Set()
    for (const each of [method].flat()) methods.add(each)
    byUrl.set(place, methods)
  })
  return byUrl
}

/** A known address with another method is 405 and says which methods there are (RFC 9110 §15.5.6). */
function refuseOtherMethods(
  fastify: FastifyInstance,
  methodsByUrl: Map<string, Set<string>>,
): void {
  fastify.get(UNMET_EXPECTATION, { config: { access: 'open' }, schema: { hide: true } }, () => {
    throw new RegistryError(
      'EXPECTATION_FAILED',
      'The one expectation that is understood is 100-continue.',
    )
  })
  for (const [url, methods] of [...methodsByUrl]) {
    if (url.startsWith('/docs') || url === UNMET_EXPECTATION) continue
    const allow = [...methods].join(', ')
    fastify.route({
      url,
      method: METHODS.filter((method) => !methods.has(method)),
      ...(isOwned(url) ? OWNED : {}),
      config: { access: 'open', changesNothing: true },
      schema: { hide: true },
      onRequest: (_request, _reply, done) => {
        done(new RegistryError('METHOD_NOT_ALLOWED', `This address knows ${allow}.`, { allow }))
      },
      handler: () => undefined,
    })
  }
}
