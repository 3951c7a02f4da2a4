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
