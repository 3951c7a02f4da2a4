import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import type { Share } from '../src/allowance.ts'
import { invalidField, RegistryError } from '../src/errors.ts'
import { type Pace, paced } from '../src/http/pace.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Of a body that was taken in whole. */
    bodyBytes: number
  }
}

interface Limits extends Pace {
  readonly maxBytes: number
  /** Commas, colons and opening brackets outside of strings: what follows from each costs far more than its byte. */
  readonly maxMarks: number
  /** Of the memory that all such bodies have together. */
  readonly share: () => Share
}

/**
 * Has the bodies of an instance's routes taken in whole, as JSON or as the bytes that they are. Each counts as held
 * until its request is over.
 */
export function takeBodies(
  app: FastifyInstance,
  kind: 'json' | 'bytes',
  { maxBytes, maxMarks, share, ...pace }: Limits,
): void {
  const holding = new WeakMap<FastifyRequest, Holding>()
  app.removeAllContentTypeParsers()
  app.decorateRequest('bodyBytes', 0)
  // Before the body is asked for.
  app.addHook('onRequest', (request, reply, done) => {
    const held = holdUntilClosed(reply.raw, share())
    holding.set(request, held)
    if (Number(request.headers['content-length'] ?? 0) > maxBytes) done(tooLarge(maxBytes))
    else done()
  })

  async function takeIn(request: FastifyRequest, payload: Readable): Promise<unknown> {
    const chunks: Uint8Array[] = []
    let size = 0
    // Left to destroy what it reads from, a refusal would never reach its caller.
    for await (const chunk of paced(payload.iterator({ destroyOnReturn: false }), pace)) {
      size += chunk.length
      if (size > maxBytes) throw tooLarge(maxBytes)
      holding.get(request)?.(chunk.length)
      chunks.push(chunk)
    }
    request.bodyBytes = size
    const bytes = Buffer.concat(chunks, size)
    return kind === 'bytes' ? bytes : jsonOf(bytes, maxMarks)
  }

  app.addContentTypeParser(kind === 'bytes' ? '*' : 'application/json', takeIn)
}

/** Takes so many bytes more. */
type Holding = (bytes: number) => void

function holdUntilClosed(response: ServerResponse, share: Share): Holding {
  let isOver = response.destroyed
  response.once('close', () => {
    isOver = true
    share.keep(0)
  })
  return (bytes) => {
    // Whoever hung up has left bytes behind that are read all the same.
    if (!isOver) share.take(bytes)
  }
}

const tooLarge = (limit: number): RegistryError =>
  new RegistryError('TOO_LARGE', 'The body is too large.', { limit })

const BYTES_A_TURN = 1024 * 1024

const [QUOTE, BACKSLASH] = [0x22, 0x5c]
const MARKS = new Set(Array.from(',:[{', (mark) => mark.charCodeAt(0)))

/**
 * Reads a body of which nearly everything is text. Eight megabytes of commas would take a second to be parsed, so that
 * they are counted before.
 */
async function jsonOf(bytes: Uint8Array, maxMarks: number): Promise<unknown> {
  let marks = 0
  let isText = false
  for (let at = 0; at < bytes.length;) {
    const turn = Math.min(bytes.length, at + BYTES_A_TURN)
    for (; at < turn; at++) {
      const byte = bytes[at] ?? 0
      if (byte === QUOTE) isText = !isText
      else if (!isText) marks += MARKS.has(byte) ? 1 : 0
      else if (byte === BACKSLASH) at += 1
    }
    if (marks > maxMarks)
      throw new RegistryError('TOO_LARGE', 'The body has too many values.', { limit: maxMarks })
    await setImmediate()
  }
  const text = decoded(bytes)
  await setImmediate()
  try {
    return JSON.parse(text)
  } catch {
    throw unreadable('is not JSON')
  }
}

/** Offsets are counted in the text as it was sent, so that no byte of it may be replaced. */
function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw unreadable('is not UTF-8')
  }
}

const unreadable = (detail: string): RegistryError =>
  invalidField('body', detail, 'The body can’t be read.')
