import type { AskedOfTensors, PolicyLevels } from '../../db/changes.ts'
import type { Ledger } from '../../db/ledger.ts'
import { RegistryError } from '../errors.ts'
import type { CheckpointName, VersionName } from './names.ts'
import { effective, type Policy } from './policy.ts'
import { tensorsRef } from './tensors-ref.ts'
import type { Metadata, MetadataTrouble } from './version-metadata.ts'

/** In `expect_metadata`: the version's own name. Any other value stands for itself, whatever it begins with. */
const OWN_VERSION = '$version'
const TOLD_CHARACTERS = 128

/**
 * The policies that a publication is judged by. None where a version has that name already: the same again is no new
 * version, and anything else is refused for its name.
 */
export async function policyOfNew(
  ledger: Ledger,
  { owner, name }: CheckpointName,
  version: VersionName,
): Promise<PolicyLevels> {
  const known = await ledger.resolve(owner, name, version)
  if (known?.via === 'version') return { owner: undefined, checkpoint: undefined }
  return ledger.policies(owner, name)
}

/** Adds up the bytes of a version's files as they come. The returned function throws TOO_LARGE beyond `max_size`. */
export function createSizeBudget({ max_size: maxSize }: Policy): (bytes: number) => void {
  const limit = maxSize ?? Infinity
  let size = 0
  return (bytes) => {
    size += bytes
    if (size > limit)
      throw new RegistryError(
        'TOO_LARGE',
        `The version is larger than its policy allows: ${limit} bytes.`,
        {
          limit,
          rule: 'max_size',
        },
      )
  }
}

/**
 * Judges a version's metadata. What would be a warning about a key is a refusal where the policy names that key.
 *
 * @throws {RegistryError} METADATA_REFUSED.
 */
export function judgeMetadata(
  { require_metadata: required, expect_metadata: expected }: Policy,
  metadata: Metadata,
  version: VersionName,
  troubles: readonly MetadataTrouble[],
): void {
  for (const key of required)
    if (!Object.hasOwn(metadata, key)) throw refused('require_metadata', key, 'is missing')
  for (const [key, value] of Object.entries(expected)) {
    if (!Object.hasOwn(metadata, key)) throw refused('expect_metadata', key, 'is missing')
    const values = [value].flat().map((one) => (one === OWN_VERSION ? version : one))
    if (!values.includes(metadata[key] ?? ''))
      throw refused('expect_metadata', key, 'is not what the policy expects')
  }
  for (const { key, trouble } of troubles) {
    if (Object.hasOwn(expected, key)) throw refused('expect_metadata', key, trouble)
    if (required.includes(key)) throw refused('require_metadata', key, trouble)
  }
}

/** What is left to the publishing transaction, which sees the rows of the tensors. */
export function askedOf(levels: PolicyLevels, checkpoint: CheckpointName): AskedOfTensors {
  const { finite, same_tensors_as: sameAs } = effective(levels)
  return {
    serials: { owner: levels.owner?.serial, checkpoint: levels.checkpoint?.serial },
    finite,
    sameTensorsAs: sameAs === null ? undefined : tensorsRef(sameAs, checkpoint),
  }
}

const refused = (rule: string, key: string, trouble: string): RegistryError =>
  new RegistryError(
    'METADATA_REFUSED',
    `The policy’s ${rule} refuses this: metadata ${JSON.stringify(key.slice(0, TOLD_CHARACTERS))} ${trouble}.`,
    { rule, key },
  )
