import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { FastifySchemaValidationError } from 'fastify/types/schema.js'
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type ErrorCode, type Facts, RegistryError } from '../src/errors.ts'
import { isLedgerDamaged, ledgerDamaged } from '../src/ledger-damage.ts'
import { notFound } from '../src/registry/resolve.ts'
import { isStorageFull, storageFull } from '../src/storage-full.ts'
import { asHubError, isHubs } from './hub/hub-errors.ts'
import { asPresidioError, isPresidios } from './presidio-errors.ts'
import { type Problem, problemOf } from './problem.ts'
import { refuse } from './refuse.ts'

/** The largest JSON body that is taken in. */
export const JSON_BYTES = 1024 * 1024

const UNSUPPORTED: Refusal = ['UNSUPPORTED_MEDIA_TYPE', 'This content type is not understood here.']

type Refusal = readonly [ErrorCode, sentence: string, Facts?]

/** What Fastify itself says no to, in our words: its own repeat the caller's URL. */
const FASTIFY_REFUSALS: Readonly<Record<string, Refusal>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['TOO_LARGE', 'The body is too large.', { limit: JSON_BYTES }],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: UNSUPPORTED,
  FST_ERR_BAD_URL: [
    'INVALID_REQUEST',
    'The URL is not valid.',
    { errors: [{ field: 'url', detail: 'is not well percent-encoded' }] },
  ],
  FST_ERR_MAX_PARAM_LENGTH: ['URI_TOO_LONG', 'A part of the URL is too long.'],
  FST_INVALID_MULTIPART_CONTENT_TYPE: UNSUPPORTED,
}

/** Every way to fail becomes a RegistryError here, and nowhere else. */
export function asRegistryError(error: unknown): RegistryError {
  if (error instanceof RegistryError) return error
  if (isStorageFull(error)) return storageFull(error)
  if (isLedgerDamaged(error)) return ledgerDamaged(error)
  const ofSend = sendRefusal(error)
  if (ofSend !== undefined) return ofSend
  if (!isFastifyError(error)) return internal(error)
  if (error.validation !== undefined) {
    const where = error.validationContext ?? 'request'
    const facts = { errors: fieldErrors(where, error.validation) }
    return new RegistryError('INVALID_REQUEST', `The ${where} is not valid.`, facts, error)
  }
  const refusal = FASTIFY_REFUSALS[error.code]
  if (refusal !== undefined) {
    const [code, sentence, facts] = refusal
    return new RegistryError(code, sentence, facts, error)
  }
  const status = error.statusCode ?? 500
  return status >= 400 && status < 500 ? invalidBody(error) : internal(error)
}

/** Answers every error, also those that Node and Fastify raise before any route is found. */
export function handleErrors(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => answer(error, request, reply))
  app.setNotFoundHandler((request, reply) => answer(notFound('route'), request, reply))
}

/** A route may have named its bytes before it failed; the problem is another representation (RFC 9530 §3). */
const OF_THE_BYTES = [
  'etag',
  'last-modified',
  'repr-digest',
  'content-disposition',
  'x-tensor-dtype',
  'x-tensor-shape',
  'x-linked-etag',
  'x-linked-size',
] as const

export function answer(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = asRegistryError(error)
  // The caller hung up in the middle of its body: there is nobody to answer.
  if (request.raw.destroyed && !request.raw.complete) {
    request.log.info({ code: 'CLIENT_CLOSED' }, 'the client hung up')
    reply.hijack()
    reply.raw.destroy()
    return reply
  }
  if (known.code === 'INTERNAL') request.log.error({ err: known.cause }, 'unexpected error')
  if (isLedgerDamaged(known.cause))
    request.log.error({ err: known.cause }, 'a row of the ledger was altered')
  reply.header('x-request-id', request.id)
  for (const name of OF_THE_BYTES) reply.removeHeader(name)
  return refuse(request, reply, asTheyRead(request, known))
}

/** Clients that were written for another server read errors as that one writes them. */
function asTheyRead(request: FastifyRequest, error: RegistryError): Problem {
  const problem = problemOf(error, request.id)
  if (isPresidios(request.routeOptions.url)) return asPresidioError(problem, error)
  return isHubs(request) ? asHubError(problem, error, request) : problem
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
}
/** What each socket still has to answer, oldest first. */
const owed = new WeakMap<Socket, Set<Exchange>>()
/** Sockets that close once they owe nothing more. */
const ending = new WeakSet<Socket>()

/** To be told of every request, so that nothing is ever written into the middle of its answer. */
export function markOwed(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request
  const exchanges = owed.get(socket) ?? new Set()
  const exchange = { request, response }
  owed.set(socket, exchanges.add(exchange))
  response.once('close', () => {
    exchanges.delete(exchange)
    if (exchanges.size === 0 && ending.has(socket)) socket.end()
  })
}

/**
 * What Node's parser refuses has no request: the answer is written to the socket. Requests before it that came
 * whole are answered first, and then the connection closes; one that broke off in its body gets this for an
 * answer, unless its own has begun.
 */
export function answerParseError(error: Error & { code?: string }, socket: Socket): void {
  if (ending.has(socket)) return
  const [first, ...others] = owed.get(socket) ?? []
  if (socket.writable && first !== undefined && [first, ...others].every(isWhole)) {
    ending.add(socket)
    return
  }
  const isBegun = first !== undefined && (others.length > 0 || first.response.headersSent)
  if (!socket.writable || error.code === 'ECONNRESET' || isBegun) {
    socket.destroy()
    return
  }
  const code: ErrorCode =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? 'REQUEST_HEADER_FIELDS_TOO_LARGE'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? 'REQUEST_TIMEOUT'
        : 'INVALID_REQUEST'
  const requestId = randomUUID()
  const facts = code === 'INVALID_REQUEST' ? { errors: [UNREADABLE] } : {}
  const problem = problemOf(new RegistryError(code, PARSE_SENTENCES[code] ?? '', facts), requestId)
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    ...Object.entries(problem.headers).map(([name, value]) => `${name}: ${value}`),
    `x-request-id: ${requestId}`,
    `content-length: ${Buffer.byteLength(problem.body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${problem.body}`)
}

const UNREADABLE = { field: 'request', detail: 'is not valid HTTP' }
const isWhole = ({ request }: Exchange): boolean => request.complete

const PARSE_SENTENCES: Partial<Record<ErrorCode, string>> = {
  REQUEST_HEADER_FIELDS_TOO_LARGE: 'The request’s headers are too large.',
  REQUEST_TIMEOUT: 'The request’s headers arrive too slowly.',
  INVALID_REQUEST: 'This is not a valid HTTP request.',
}

const isFastifyError = (error: unknown): error is FastifyError =>
  error instanceof Error && 'code' in error && typeof error.code === 'string'

const MAX_FIELD_ERRORS = 100

/** One a field, which may be wrong in each of the ways that it could have been right. */
function fieldErrors(
  where: string,
  errors: readonly FastifySchemaValidationError[],
): readonly { readonly field: string; readonly detail: string }[] {
  const details = new Map<string, Set<string>>()
  const judged = placesJudged(errors)
  for (const error of errors) {
    const { keyword, instancePath, params } = error
    if (keyword === 'anyOf' || details.size === MAX_FIELD_ERRORS) continue
    if (keyword === 'type' && judged.has(instancePath)) continue
    const field = fieldOf(where, instancePath, params)
    details.set(field, (details.get(field) ?? new Set()).add(detailOf(error)))
  }
  return [...details].map(([field, ways]) => ({ field, detail: [...ways].join(' or ') }))
}

/** Places that have one of the types they may have, since what they hold was judged: the others are beside the point. */
function placesJudged(errors: readonly FastifySchemaValidationError[]): ReadonlySet<string> {
  const places = new Set<string>()
  for (const { keyword, instancePath } of errors) {
    if (keyword === 'anyOf') continue
    if (keyword !== 'type') places.add(instancePath)
    const parts = instancePath.split('/')
    for (let i = 1; i < parts.length; i++) places.add(parts.slice(0, i).join('/'))
  }
  return places
}

function detailOf({ message = 'is not valid', params }: FastifySchemaValidationError): string {
  const { allowedValues, missingProperty, additionalProperty } = params
  if (Array.isArray(allowedValues)) return `must be one of ${allowedValues.join(', ')}`
  if (missingProperty !== undefined) return 'is missing'
  return additionalProperty === undefined ? message : 'is not known here'
}

/** `query.limit`, `body.role`: the place as the caller wrote it. */
function fieldOf(where: string, instancePath: string, params: Record<string, unknown>): string {
  const named = params['missingProperty'] ?? params['additionalProperty']
  const path = instancePath.split('/').filter((part) => part !== '')
  return [
    where === 'querystring' ? 'query' : where,
    ...path,
    ...(typeof named === 'string' ? [named] : []),
  ].join('.')
}

const invalidBody = (error: FastifyError): RegistryError =>
  new RegistryError(
    'INVALID_REQUEST',
    'The body can’t be read as what its content type says.',
    { errors: [{ field: 'body', detail: 'is not valid' }] },
    error,
  )

/** Static pages have conditions and ranges of their own, and a library that refuses them. */
function sendRefusal(error: unknown): RegistryError | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined
  if (error.statusCode === 412)
    return new RegistryError('PRECONDITION_FAILED', 'The page is another by now.')
  if (error.statusCode === 416)
    return new RegistryError('RANGE_NOT_SATISFIABLE', 'No byte of the page lies in the range.', {
      size: '*',
    })
  return undefined
}

const internal = (error: unknown): RegistryError =>
  new RegistryError(
    'INTERNAL',
    'Something went wrong here; the request id leads to it in the log.',
    {},
    error,
  )
