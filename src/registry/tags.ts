import type { TagChange, TagKind, TagMoved, TagRefusal } from '../../db/changes.ts'
import type { Ledger } from '../../db/ledger.ts'
import { denied, type Doer } from '../access/principal.ts'
import { RegistryError } from '../errors.ts'
import { asciiLowerCase, type CheckpointName, type TagName } from './names.ts'
import { notFound } from './resolve.ts'

/** Who changes which tag, from where. */
export interface TagRequest {
  readonly principal: Doer
  /** Undefined for the server itself. */
  readonly address: string | undefined
  readonly checkpoint: CheckpointName
  readonly tag: TagName
  /** The revision that the tag must name now, null for none; undefined where any will do. */
  readonly expected: string | null | undefined
}

/**
 * Makes a tag, of that kind if it is new, name the version that `ref` leads to.
 *
 * @throws {RegistryError} TAG_PROTECTED, TAG_MOVED, VERSION_EXISTS, NOT_FOUND, WITHDRAWN, FORBIDDEN, UNAUTHENTICATED.
 */
export async function moveTag(
  ledger: Ledger,
  request: TagRequest,
  ref: string,
  kind: TagKind = 'tag',
): Promise<TagMoved> {
  const outcome = await ledger.moveTag({ ...changeOf(request), ref, kind })
  if ('version' in outcome) return outcome
  throw tagRefusal(outcome)
}

/** @throws {RegistryError} as moveTag does. */
export async function deleteTag(ledger: Ledger, request: TagRequest): Promise<void> {
  const outcome = await ledger.deleteTag(changeOf(request))
  if (outcome.outcome !== 'deleted') throw tagRefusal(outcome)
}

/** Tags of the server's own checkpoints decide what it runs. */
export const changeOf = ({
  principal,
  address,
  checkpoint,
  tag,
  expected,
}: TagRequest): TagChange => ({
  tokenId: principal.tokenId,
  roles: ['writer', 'admin'],
  rolesIfProtected: ['admin'],
  isProtected: asciiLowerCase(checkpoint.owner) === 'strongroom',
  address,
  owner: checkpoint.owner,
  name: checkpoint.name,
  tag,
  expected: expected?.toLowerCase() ?? expected,
})

export function tagRefusal(refusal: TagRefusal): RegistryError {
  switch (refusal.outcome) {
    case 'protected':
      return new RegistryError('TAG_PROTECTED', 'This tag is protected, or the server’s own.', {
        current: refusal.current,
      })
    case 'unexpected':
      return new RegistryError('TAG_MOVED', 'The tag doesn’t name what the caller expects.', {
        current: refusal.current,
      })
    case 'version_exists':
      return new RegistryError('VERSION_EXISTS', 'A version of this checkpoint has that name.', {
        revision: refusal.revision,
      })
    case 'withdrawn':
      return new RegistryError('WITHDRAWN', 'That version was withdrawn.', {
        reason: refusal.reason,
      })
    case 'checkpoint_missing':
      return notFound('checkpoint')
    case 'version_missing':
      return notFound('version')
    case 'tag_missing':
      return notFound('tag')
    case 'unauthenticated':
    case 'forbidden':
      return denied(refusal.outcome, 'This token may not change tags here.')
  }
}
