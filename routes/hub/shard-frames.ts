import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ShardProgress } from '../../src/hub/xet-sessions.ts'
import { asRegistryError } from '../error-handler.ts'
import { hungUp } from '../intake.ts'
import { isBodyPending } from '../refuse.ts'

// Newline-delimited JSON, as hf_xet reads it from `/v2/shards`: how far it is, and at last how it ended.

/** Whatever stands between client and server takes longer silence for an end. */
const EVERY_MS = 5_000

export const FRAMES = {
  description:
    '`{"type":"validating","verified":1,"total":2}` now and then, at last `{"type":"result"}` or `{"type":"error","message":"…","retryable":false}`',
  content: { 'application/x-ndjson': { schema: { type: 'string' } } },
}

const frame = (value: object): string => `${JSON.stringify(value)}\n`

/** Answers with frames until the work is done; what is refused before the first of them is still answered so. */
export async function answerInFrames(
  request: FastifyRequest,
  reply: FastifyReply,
  work: (tell: (progress: ShardProgress) => void) => Promise<void>,
  everyMs = EVERY_MS,
): Promise<FastifyReply | string> {
  const { raw } = reply
  let progress: ShardProgress = { verified: 0, total: 0 }
  reply.type('application/x-ndjson')

  const timer = setInterval(() => {
    if (raw.destroyed) return
    if (!raw.headersSent) {
      reply.hijack()
      raw.writeHead(200, reply.getHeaders() as Record<string, string | number>)
    }
    raw.write(frame({ type: 'validating', ...progress }))
  }, everyMs)

  const last = async (): Promise<string> => {
    try {
      await work((now) => {
        progress = now
      })
      return frame({ type: 'result' })
    } catch (error) {
      const { code, message } = asRegistryError(error)
      const isEarly = !raw.headersSent
      if (isEarly && (hungUp(request) || isBodyPending(request.raw) || code === 'INTERNAL'))
        throw error
      if (code === 'INTERNAL') request.log.error({ err: error }, 'unexpected error')
      const retryable = code === 'TOO_MANY_REQUESTS'
      return frame({ type: 'error', message: `Refused by the registry: ${message}`, retryable })
    } finally {
      clearInterval(timer)
    }
  }

  const ending = await last()
  if (!raw.headersSent) return ending
  raw.end(ending)
  return reply
}
