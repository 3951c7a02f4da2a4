import type { CheckpointRef, TensorsRef } from '../../db/changes.ts'
import { invalidField } from '../errors.ts'
import type { CheckpointName } from './names.ts'

/** The one bare ref that means something in every checkpoint, and may lead nowhere yet. */
const LATEST = 'latest'

/**
 * Reads `same_tensors_as`: `owner/name@ref`, or a bare ref of that checkpoint, of which `latest` asks for nothing while
 * there is no version. What can't be either leads nowhere.
 */
export function tensorsRef(text: string, of: CheckpointName): TensorsRef {
  const [, owner, name, ref] = /^([^/@]+)\/([^/@]+)@(.+)$/.exec(text) ?? []
  return owner === undefined || name === undefined || ref === undefined
    ? { owner: of.owner, name: of.name, ref: text, mayBeMissing: text === LATEST }
    : { owner, name, ref, mayBeMissing: false }
}

/**
 * What has to be there for a policy to be set. An owner's own (`of` undefined) names the checkpoint too, or `latest`.
 *
 * @throws {RegistryError} INVALID_REQUEST.
 */
export function mustResolve(
  text: string,
  of: CheckpointName | undefined,
): CheckpointRef | undefined {
  const { mayBeMissing, ...ref } = tensorsRef(text, of ?? { owner: '', name: '' })
  if (mayBeMissing) return undefined
  if (ref.owner === '')
    throw invalidField('body.same_tensors_as', 'must be latest or OWNER/NAME@REF for an owner')
  return ref
}
