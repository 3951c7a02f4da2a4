import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type ErrorCode, RegistryError } from '../src/errors.ts'
import { notFound } from '../src/registry/resolve.ts'
import { problemOf } from './problem.ts'
import { refuse } from './refuse.ts'

/** What Fastify itself says no to, in our words. */
const FASTIFY_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_ERR_BAD_URL: 'INVALID_REQUEST',
  FST_ERR_MAX_PARAM_LENGTH: 'URI_TOO_LONG',
  FST_INVALID_MULTIPART_CONTENT_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
}

/** Every way to fail becomes a RegistryError here, and nowhere else. */
export function asRegistryError(error: unknown): RegistryError {
  if (error instanceof RegistryError) return error
  if (!isFastifyError(error)) return internal(error)
  if (error.validation !== undefined) {
    const where = error.validationContext ?? 'request'
    const errors = error.validation.map(({ instancePath, message, params }) => ({
      field: fieldOf(where, instancePath, params),
      detail: message ?? 'is not valid',
    }))
    return new RegistryError('INVALID_REQUEST', `The ${where} is not valid.`, { errors }, error)
  }
  const code = FASTIFY_CODES[error.code]
  if (code !== undefined) return new RegistryError(code, error.message, {}, error)
  const status = error.statusCode ?? 500
  return status >= 400 && status < 500 ? invalidBody(error) : internal(error)
}

/** Answers every error, also those that Node and Fastify raise before any route is found. */
export function handleErrors(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => answer(error, request, reply))
  app.setNotFoundHandler((request, reply) => answer(notFound('route'), request, reply))
}

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
  reply.header('x-request-id', request.id)
  return refuse(request, reply, problemOf(known, request.id))
}

/** Responses that each socket still owes. */
const owed = new WeakMap<Socket, number>()

/** To be told of every request, so that nothing is ever written into the middle of its answer. */
export function markOwed({ socket }: IncomingMessage, response: ServerResponse): void {
  owed.set(socket, (owed.get(socket) ?? 0) + 1)
  response.once('close', () => {
    owed.set(socket, (owed.get(socket) ?? 1) - 1)
  })
}

/**
 * What Node's parser refuses has no request: the answer is written to the socket. Behind a request that is still
 * being answered it would be taken for bytes of that answer: the connection breaks off instead.
 */
export function answerParseError(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET' || (owed.get(socket) ?? 0) > 0) {
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
  const problem = problemOf(new RegistryError(code, PARSE_SENTENCES[code] ?? ''), requestId)
  const head = [
    `HTTP/1.1 ${problem.status} ${problem.title}`,
    ...Object.entries(problem.headers).map(([name, value]) => `${name}: ${value}`),
    `x-request-id: ${requestId}`,
    `content-length: ${Buffer.byteLength(problem.body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${problem.body}`)
}

const PARSE_SENTENCES: Partial<Record<ErrorCode, string>> = {
  REQUEST_HEADER_FIELDS_TOO_LARGE: 'The request’s headers are too large.',
  REQUEST_TIMEOUT: 'The request’s headers arrive too slowly.',
  INVALID_REQUEST: 'This is not a valid HTTP request.',
}

const isFastifyError = (error: unknown): error is FastifyError =>
  error instanceof Error && 'code' in error && typeof error.code === 'string'

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

const internal = (error: unknown): RegistryError =>
  new RegistryError(
    'INTERNAL',
    'Something went wrong here; the request id leads to it in the log.',
    {},
    error,
  )
