import type { FastifyRequest } from 'fastify'
import type { CheckpointName } from '../../src/registry/names.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { MAX_SUBJECT, principalOf } from '../authenticate.ts'
import { actorOf } from '../checkpoint-params.ts'
import { asRegistryError } from '../error-handler.ts'

/** Enters what was refused to someone who pushes, as a publish that is refused is entered. */
export function noteRefusal(
  { audit, metrics }: Strongroom,
  request: FastifyRequest,
  { owner, name }: CheckpointName,
  rev: string,
  error: unknown,
): void {
  const { code, facts } = asRegistryError(error)
  const { reason, looks_like: looksLike, path, rule, key } = facts
  metrics.publishes.inc({ outcome: 'refused' })
  metrics.refusals.inc({ code, reason: typeof reason === 'string' ? reason : '' })
  audit.refused({
    action: 'refuse',
    ...actorOf(principalOf(request), request),
    subject: `${owner}/${name}@${rev}`.slice(0, MAX_SUBJECT),
    outcome: code,
    details: { reason, looks_like: looksLike, path, rule, key, route: request.routeOptions.url },
  })
}

export async function noteRefusals<T>(
  strongroom: Strongroom,
  request: FastifyRequest,
  checkpoint: CheckpointName,
  rev: string,
  act: () => Promise<T>,
): Promise<T> {
  try {
    return await act()
  } catch (error) {
    noteRefusal(strongroom, request, checkpoint, rev, error)
    throw error
  }
}
