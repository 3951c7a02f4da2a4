import type { FastifyReply, FastifyRequest } from 'fastify'
import { RegistryError } from '../src/errors.ts'
import type { Detect, Detections, Slot } from '../src/detect/detection.ts'
import type { Strongroom } from '../src/strongroom.ts'
import { principalOf } from './authenticate.ts'

/**
 * Has the detector asked on behalf of a request, for as long as its caller is there; undefined where it hung up.
 *
 * @throws {RegistryError}
 */
export type Ask = (
  request: FastifyRequest,
  reply: FastifyReply,
  asked: (detect: Detect, call: Call) => Promise<Detections>,
) => Promise<Detections | undefined>

/** What a detection's answers say beside their bodies, for the document. @param schemas as `answers` has them */
export function withHeaders(schemas: Readonly<Record<number, unknown>>): Record<number, unknown> {
  return Object.fromEntries(
    Object.entries(schemas).map(([status, schema]) => [
      status,
      { ...asResponse(schema), ...headersOf(Number(status)) },
    ]),
  )
}

/** Of an answer that is described by its JSON alone. */
function asResponse(schema: unknown): object {
  if (typeof schema !== 'object' || schema === null) throw new Error('a response has no schema')
  if ('content' in schema) return schema
  return { description: 'What was found', content: { 'application/json': { schema } } }
}

const DETECTORS_HEADERS = {
  'X-Checkpoint-Revision': { type: 'string', description: 'Revision of the detector' },
  'X-Checkpoint-Version': { type: 'string', description: 'Name of its version' },
}
const RETRY_AFTER = {
  'Retry-After': { type: 'integer', description: 'Seconds; where waiting helps' },
}

function headersOf(status: number): { readonly headers?: object } {
  if (status === 200) return { headers: DETECTORS_HEADERS }
  return status === 429 || status === 503 ? { headers: RETRY_AFTER } : {}
}

interface Call {
  readonly signal: AbortSignal
  readonly onSlot: (slot: Slot) => void
}

/** Statuses with which every detection may refuse. */
export const DETECTION_REFUSALS = [400, 401, 403, 408, 413, 415, 429, 503, 504] as const

/** How detection ends when it isn't the request's own fault: what the audit log tells of. */
const ENTERED = new Set(['DETECTOR_UNAVAILABLE', 'DETECTION_FAILED', 'DEADLINE_EXCEEDED'])

export function createAsk({ config, audit, detect }: Strongroom): Ask {
  return async (request, reply, asked) => {
    const hungUp = new AbortController()
    reply.raw.once('close', () => {
      hungUp.abort()
    })
    if (reply.raw.destroyed) return undefined
    const { socket } = request.raw
    const entered = {
      principal: principalOf(request),
      address: request.ip,
      bytes: request.bodyBytes,
    }
    // Waiting in line is no stall: a request has a deadline of its own.
    socket.setTimeout(0)
    try {
      const found = await asked(detect, {
        signal: hungUp.signal,
        onSlot: (slot) => {
          request.detectorSlot = slot
        },
      })
      const { checkpoint, version, revision } = found.model
      audit.detection({ ...entered, subject: `${checkpoint}@${version}`, revision, outcome: 'ok' })
      reply.headers({
        'cache-control': 'no-store',
        'x-checkpoint-revision': revision,
        'x-checkpoint-version': version,
      })
      return found
    } catch (error) {
      if (hungUp.signal.aborted) return undefined
      if (error instanceof RegistryError && ENTERED.has(error.code)) {
        const [primary] = detect.slots()
        audit.detection({ ...entered, subject: primary?.ref, outcome: error.code })
      }
      throw error
    } finally {
      socket.setTimeout(config.STALL_TIMEOUT_MS)
    }
  }
}
