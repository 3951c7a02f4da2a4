// HTTP as the command line needs it, on node:http itself: undici and fetch don't wait for `100 Continue` on
// HTTP/1.1, and a refusal of a 100 GB upload should cost none of it.

import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { setImmediate } from 'node:timers/promises'
import { UnreachableError, UntrustedError } from './failures.ts'
import { refusalOf } from './problem.ts'
import type { Read } from './shapes.ts'

export interface Upload {
  readonly contentType: string
  readonly sizeBytes: number
  /** Exactly `sizeBytes` of them. */
  readonly chunks: AsyncIterable<Uint8Array>
}

export interface Ask {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE'
  /** Below the registry's URL, escaped, with its query: `/v1/checkpoints?limit=100`. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Upload
  /** The server may work for hours before it answers. */
  readonly isPatient?: boolean
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  /** Throws UnreachableError where the connection breaks. */
  readonly body: AsyncIterable<Uint8Array>
  /** Gives up a body that isn't read: its connection would keep the process waiting. */
  readonly abandon: () => void
}

export interface Connection {
  /** @throws {RefusedError} for a status from 300 up, {UnreachableError} where no answer comes. */
  send(ask: Ask): Promise<Answer>
}

/** A connection on which nothing moves for so long is lost. */
const SILENCE_MS = 60_000
/** Not every proxy passes `100 Continue` on: after this the body is sent unasked, as RFC 9110 §10.1.1 allows. */
const CONTINUE_MS = 5_000
/** More than any answer in JSON takes: the leaves of a 3 TB file, at 1 MiB each. */
const MAX_JSON_BYTES = 256 * 1024 * 1024

/** @param base the registry's address, perhaps with a path before `/v1` */
export function connectTo(base: URL, token: string | undefined): Connection {
  const prefix = base.pathname.replace(/\/+$/, '')
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` }

  function open({ method, path, headers, body }: Ask): ClientRequest {
    const start = base.protocol === 'https:' ? requestHttps : requestHttp
    const announced =
      body === undefined
        ? {}
        : {
            'content-type': body.contentType,
            'content-length': body.sizeBytes,
            ...(body.sizeBytes > 0 ? { expect: '100-continue' } : {}),
          }
    return start(new URL(`${prefix}${path}`, base), {
      method,
      // A fresh connection each: one that idled may be closing just as the next request is written.
      agent: false,
      headers: { accept: 'application/json, */*', ...authorization, ...announced, ...headers },
    })
  }

  return {
    async send(ask) {
      const request = open(ask)
      watchSilence(request, ask.isPatient === true || ask.body !== undefined)
      const response = await answerTo(request, ask.body).catch((error: unknown) => {
        request.destroy()
        throw error
      })
      const status = response.statusCode ?? 0
      const abandon = (): void => {
        request.destroy()
      }
      const answer = { status, headers: response.headers, body: bodyOf(response), abandon }
      if (status < 300) return answer
      const refusal = await refusalOf(answer)
      abandon()
      throw refusal
    },
  }
}

/** Reads an answer in JSON. @throws {UntrustedError} where it isn't what `read` takes. */
export async function askJson<T>(
  connection: Connection,
  ask: Ask,
  read: Read<T>,
): Promise<{ readonly status: number; readonly document: T; readonly raw: unknown }> {
  const { status, body } = await connection.send(ask)
  const raw = parseJson((await collect(body)).toString())
  return { status, document: read(raw, 'the answer'), raw }
}

/** A JSON body. */
export function jsonBody(document: unknown): Upload {
  const bytes = Buffer.from(JSON.stringify(document))
  return { contentType: 'application/json', sizeBytes: bytes.length, chunks: single(bytes) }
}

async function* single(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield await Promise.resolve(bytes)
}

/** @throws {UntrustedError} for more bytes than any answer has. */
async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > MAX_JSON_BYTES) throw new UntrustedError("The server's answer has no end.")
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    throw new UntrustedError("The server's answer is not a registry's: it is not JSON.")
  }
}

function watchSilence(request: ClientRequest, isPatient: boolean): void {
  request.setTimeout(SILENCE_MS, () => {
    request.destroy(new Error('nothing came for a minute'))
  })
  if (!isPatient) return
  request.once('socket', (socket) => {
    // Once connected, only the peer's own silence, which keep-alive probes, ends the wait.
    socket.once('connect', () => {
      socket.setKeepAlive(true, SILENCE_MS)
      socket.setTimeout(0)
    })
  })
}

/** Sends the request and its body; an answer that comes first ends the sending. */
async function answerTo(
  request: ClientRequest,
  body: Upload | undefined,
): Promise<IncomingMessage> {
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve)
    // Stays for good: a socket may fail again after the answer, when nobody cares.
    request.on('error', (error) => {
      reject(new UnreachableError(sentenceOf(error), { cause: error }))
    })
    request.once('close', () => {
      reject(new UnreachableError('The connection was closed before an answer came.'))
    })
  })
  if (body === undefined || body.sizeBytes === 0) {
    request.end()
    return answered
  }
  const sent = upload(request, body)
  return Promise.race([answered, sent.then(() => answered)])
}

/** Waits to be asked for the body, then sends it until it ends or an answer has come. */
async function upload(request: ClientRequest, { chunks, sizeBytes }: Upload): Promise<void> {
  const over = new AbortController()
  const end = (): void => {
    over.abort()
  }
  request.once('response', end).once('close', end)
  const signal = AbortSignal.any([over.signal, AbortSignal.timeout(CONTINUE_MS)])
  request.flushHeaders()
  await once(request, 'continue', { signal }).catch(() => undefined)
  let sentBytes = 0
  for await (const chunk of chunks) {
    // Lets an answer that is already here be read: a write to a closed connection would hide it.
    await setImmediate()
    if (over.signal.aborted) return
    sentBytes += chunk.length
    if (!request.write(chunk))
      await once(request, 'drain', { signal: over.signal }).catch(() => undefined)
  }
  if (sentBytes !== sizeBytes) throw new Error(`a body of ${sizeBytes} bytes had ${sentBytes}`)
  if (!over.signal.aborted) request.end()
}

async function* bodyOf(response: IncomingMessage): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for await (const chunk of response) yield chunk as Uint8Array
  } catch (error) {
    throw new UnreachableError('The connection was lost in the middle of the answer.', {
      cause: error,
    })
  }
}

const SENTENCES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'the host is not known',
  EAI_AGAIN: 'the host can’t be looked up',
  ECONNRESET: 'the connection was reset',
  EPIPE: 'the connection was closed',
  ETIMEDOUT: 'the connection timed out',
  EPROTO: 'it does not speak TLS as expected',
}

function sentenceOf(error: Error): string {
  const code = 'code' in error ? String(error.code) : ''
  const reason = SENTENCES[code] ?? (error.message === '' ? code : error.message)
  return `The registry can't be reached: ${reason}.`
}
