import type { NotFinite, TensorForm, TensorsDiffer } from '../../db/changes.ts'
import type { AuditNote, PublishRefusal } from '../../db/ledger.ts'
import { denied } from '../access/principal.ts'
import { RegistryError } from '../errors.ts'
import type { PublishRequest } from './publish.ts'
import { notFound } from './resolve.ts'

/** The entry for a publish that was refused to a known caller. */
export function refusalNote(
  request: Pick<PublishRequest, 'principal' | 'address' | 'checkpoint' | 'version'>,
  error: RegistryError,
): AuditNote {
  const { principal, address, checkpoint, version } = request
  const { reason, looks_like: looksLike, path, rule, key } = error.facts
  // A policy's refusals name a tensor in bounds; a file's own may be as long as its header.
  const tensor = rule === undefined ? undefined : error.facts['tensor']
  return {
    action: 'refuse',
    actorId: principal.tokenId,
    actorName: principal.name,
    address,
    subject: `${checkpoint.owner}/${checkpoint.name}@${version}`,
    outcome: error.code,
    details: { reason, looks_like: looksLike, path, rule, key, tensor },
  }
}

/** @param tagged the revision that the tag in the way names, where one is */
export function publishRefusal(outcome: PublishRefusal, tagged: string | undefined): RegistryError {
  switch (outcome.outcome) {
    case 'exists':
      return new RegistryError('VERSION_EXISTS', 'This version exists, and is not the same.', {
        revision: outcome.revision,
      })
    case 'withdrawn':
      return new RegistryError(
        'WITHDRAWN',
        'This version was withdrawn; its name is not used again.',
        { reason: outcome.reason },
      )
    case 'tag_exists':
      return new RegistryError('VERSION_EXISTS', 'A tag of this checkpoint has that name.', {
        revision: tagged ?? null,
      })
    case 'name_protected':
      return new RegistryError(
        'TAG_PROTECTED',
        'The policy protects a tag of that name: only an admin gives the name to a version.',
        { current: null },
      )
    case 'unauthenticated':
    case 'forbidden':
      return denied(outcome.outcome, 'This token may not publish here.')
    case 'head_moved':
      return new RegistryError('PRECONDITION_FAILED', 'The branch has moved on meanwhile.', {
        current: outcome.current,
      })
    case 'branch_protected':
      return new RegistryError('TAG_PROTECTED', 'The policy protects this branch.', {
        current: null,
      })
    case 'branch_missing':
      return notFound('tag')
    case 'checkpoint_missing':
      return notFound('checkpoint')
    case 'blob_missing':
      return notFound('file')
    case 'spelled_differently':
      return tryAgain('The checkpoint was made meanwhile, spelled otherwise; try again.')
    case 'policy_changed':
      return tryAgain('The policy was changed meanwhile; try again.')
    case 'not_finite':
      return notFinite(outcome)
    case 'tensors_differ':
      return tensorsDiffer(outcome)
    case 'tensors_ref_missing':
      return policyRefusal(
        'same_tensors_as',
        'The version whose tensors the policy asks for is not there any more.',
      )
  }
}

const TOLD_CHARACTERS = 200

function notFinite({ path, tensor, dtype, isMeasured }: NotFinite): RegistryError {
  const name = told(tensor)
  const found = `${JSON.stringify(name)} in ${JSON.stringify(path)}`
  const why = isMeasured
    ? `${found} holds NaN or infinity`
    : dtype === 'C64'
      ? `nothing is measured of ${found}, whose numbers are complex`
      : `nothing is known of ${found}, which was stored before values were measured; publish its bytes again`
  return policyRefusal('finite', `The policy asks for finite values: ${why}.`, {
    tensor: name,
    path,
  })
}

function tensorsDiffer({ tensor, expected, actual }: TensorsDiffer): RegistryError {
  const name = told(tensor)
  const found = JSON.stringify(name)
  const why =
    actual === undefined
      ? `${found} is missing`
      : expected === undefined
        ? `${found} is none of them`
        : `${found} is ${inWords(actual)}, not ${inWords(expected)}`
  return policyRefusal(
    'same_tensors_as',
    `The policy asks for another version’s tensors: ${why}.`,
    {
      tensor: name,
      expected: expected ?? null,
      actual: actual ?? null,
    },
  )
}

const inWords = ({ dtype, shape }: TensorForm): string => `${dtype} [${shape.join(', ')}]`
const told = (name: string): string => name.slice(0, TOLD_CHARACTERS).toWellFormed()

const policyRefusal = (rule: string, sentence: string, facts: object = {}): RegistryError =>
  new RegistryError('METADATA_REFUSED', sentence, { rule, ...facts })

const tryAgain = (sentence: string): RegistryError =>
  new RegistryError('TOO_MANY_REQUESTS', sentence, { retry_after: 1 })
