import type { FastifyReply, FastifyRequest } from 'fastify'
import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { RegistryError } from '../src/errors.ts'
import { planByteranges } from '../src/http/multipart-ranges.ts'
import { type ByteRange, formatContentRange } from '../src/http/range.ts'
import { preceded } from '../src/preceded.ts'
import type { Representation } from '../src/registry/representation.ts'
import type { NextTurn } from '../src/turns.ts'

const BYTES = 'application/octet-stream'

/** What of a representation is sent, in answer to which Range. */
export type Extent =
  { readonly kind: 'whole' } | { readonly kind: 'ranges'; readonly ranges: readonly ByteRange[] }

/** What became of a response's body; `outcome` is the audit log's word. */
export interface Sent {
  readonly bytes: number
  readonly outcome: string
}

interface Body {
  readonly status: 200 | 206
  readonly headers: Readonly<Record<string, string | number>>
  readonly pieces: () => AsyncGenerator<Uint8Array, void, undefined>
}

function bodyOf({ size, pieces }: Representation, extent: Extent): Body {
  if (extent.kind === 'whole') {
    const headers = { 'content-type': BYTES, 'content-length': size }
    return { status: 200, headers, pieces: () => pieces({ begin: 0, end: size }) }
  }
  const [range, ...others] = extent.ranges
  if (range !== undefined && others.length === 0) {
    const headers = {
      'content-type': BYTES,
      'content-length': range.end - range.begin,
      'content-range': formatContentRange(range, size),
    }
    return { status: 206, headers, pieces: () => pieces(range) }
  }
  const boundary = randomBytes(16).toString('hex')
  const plan = planByteranges(extent.ranges, size, BYTES, boundary)
  return {
    status: 206,
    headers: { 'content-type': plan.contentType, 'content-length': plan.contentLength },
    pieces: async function* () {
      // The preamble of a part goes out once the part's first bytes are verified.
      for (const { preamble, range } of plan.parts) yield* preceded([preamble], pieces(range))
      yield plan.closing
    },
  }
}

/**
 * Sends verified bytes over the raw socket, each slot written where it lies. The first piece is verified before the
 * status line goes out, so that a failure there is still an answer; a later one cuts the connection.
 *
 * @returns the bytes of the body that were handed to the socket, and how it ended.
 */
export async function sendBytes(
  request: FastifyRequest,
  reply: FastifyReply,
  representation: Representation,
  extent: Extent,
  parts: { readonly stallTimeoutMs: number; readonly nextTurn: NextTurn },
): Promise<Sent> {
  const { status, headers, pieces } = bodyOf(representation, extent)
  const iterator = pieces()
  const { raw } = reply
  let bytes = 0
  try {
    let next = await iterator.next()
    reply.hijack()
    raw.writeHead(status, { ...reply.getHeaders(), ...headers } as Record<string, string | number>)
    request.raw.socket.setTimeout(parts.stallTimeoutMs)
    while (next.done !== true) {
      await write(raw, next.value)
      bytes += next.value.length
      await parts.nextTurn()
      next = await iterator.next()
    }
    raw.end()
    return { bytes, outcome: 'ok' }
  } catch (error) {
    if (!reply.sent && !raw.headersSent) throw error
    // The status line is out: the one signal that is left is a connection that breaks off.
    raw.destroy()
    if (error instanceof ClientGone) return { bytes, outcome: 'ABORTED' }
    request.log.warn({ err: error }, 'a response was cut off')
    return { bytes, outcome: error instanceof RegistryError ? error.code : 'INTERNAL' }
  } finally {
    await iterator.return()
  }
}

class ClientGone extends Error {
  override readonly name = 'ClientGone'
}

/** Resolves when the socket has taken the bytes: until then they must stay as they are. */
function write(response: ServerResponse, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    if (response.destroyed) {
      reject(new ClientGone('the client hung up'))
      return
    }
    const gone = (): void => {
      reject(new ClientGone('the client hung up'))
    }
    response.once('close', gone)
    response.write(bytes, (error) => {
      response.removeListener('close', gone)
      if (error === null || error === undefined) resolve()
      else gone()
    })
  })
}
