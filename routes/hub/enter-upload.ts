import type { FastifyReply, FastifyRequest } from 'fastify'
import type { CheckpointName } from '../../src/registry/names.ts'
import type { Strongroom } from '../../src/strongroom.ts'
import { enter, hungUp } from '../intake.ts'
import { noteRefusal } from './note-refusal.ts'

/**
 * Takes in what a client uploads, in one of the places that uploads have, and has a refusal entered.
 *
 * @param what it is uploaded to: a revision, an object
 */
export async function enterUpload<T>(
  strongroom: Strongroom,
  request: FastifyRequest,
  reply: FastifyReply,
  { checkpoint, what }: { readonly checkpoint: CheckpointName; readonly what: string },
  act: () => Promise<T>,
): Promise<T> {
  const leave = enter(strongroom.uploads, reply, 'uploads')
  try {
    return await act()
  } catch (error) {
    if (!hungUp(request)) noteRefusal(strongroom, request, checkpoint, what, error)
    throw error
  } finally {
    leave()
  }
}
