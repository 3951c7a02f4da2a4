import { namesRealDay } from '../calendar.ts'
import { RegistryError } from '../errors.ts'

export type Metadata = Readonly<Record<string, string>>

/** Zoneless times may be as far ahead as the easternmost zone is. */
const ZONE_SLACK_MS = 14 * 3_600_000
const CLOCK_SLACK_MS = 60_000
const ISO_8601 =
  /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(Z|z|[+-]\d{2}:?\d{2})?)?$/

/**
 * The metadata of a version: the keys on which all its files agree, and the caller's own. The caller may
 * repeat what a file says, not contradict it.
 *
 * @throws {RegistryError} METADATA_REFUSED.
 */
export function mergeMetadata(files: readonly Metadata[], caller: Metadata): Metadata {
  const merged: Record<string, string> = emptyRecord()
  const [first = emptyRecord(), ...others] = files
  for (const [key, value] of Object.entries(first)) {
    if (others.every((other) => other[key] === value)) merged[key] = value
  }
  for (const [key, value] of Object.entries(caller)) {
    if (files.some((file) => Object.hasOwn(file, key) && file[key] !== value)) {
      throw refused('contradicts_file', key, 'The metadata given contradicts a file’s own.')
    }
    merged[key] = value
  }
  return merged
}

export interface MetadataLimits {
  /** Of all keys and values together, in UTF-16 units. */
  readonly maxMetadataBytes: number
  readonly maxMetadataKeys: number
}

/**
 * Counts the metadata of one version, its files' own included: all of it is read, hashed and told whenever
 * the version is.
 *
 * @returns what takes more into account, and throws METADATA_REFUSED when it is too much.
 */
export function createMetadataBudget({
  maxMetadataBytes,
  maxMetadataKeys,
}: MetadataLimits): (metadata: Metadata) => void {
  let size = 0
  let count = 0
  return (metadata) => {
    for (const key of Object.keys(metadata)) {
      size += key.length + (metadata[key]?.length ?? 0)
      count += 1
      if (size > maxMetadataBytes)
        throw refused('max_metadata_bytes', key.slice(0, 100), 'The metadata is too large.')
      if (count > maxMetadataKeys)
        throw refused('max_metadata_keys', key.slice(0, 100), 'The metadata has too many keys.')
    }
  }
}

/** What is odd about a key: a reason to warn, and to refuse where the policy names the key. */
export interface MetadataTrouble {
  readonly key: 'version' | 'created_at'
  /** To be said after the key. */
  readonly trouble: string
  readonly value: string
}

/** What a person should know about a version's metadata. */
export function metadataTroubles(
  metadata: Metadata,
  version: string,
  now: Date,
): readonly MetadataTrouble[] {
  const troubles: MetadataTrouble[] = []
  const claimed = metadata['version']
  if (claimed !== undefined && claimed !== version)
    troubles.push({
      key: 'version',
      trouble: 'is not the version published as',
      value: claimed,
    })
  const createdAt = metadata['created_at']
  const trouble = createdAt === undefined ? undefined : troubleWithDate(createdAt, now)
  if (createdAt !== undefined && trouble !== undefined)
    troubles.push({ key: 'created_at', trouble, value: createdAt })
  return troubles
}

export const warningOf = ({ key, trouble, value }: MetadataTrouble): string =>
  `metadata ${key} ${trouble}: ${JSON.stringify(value.slice(0, 128))}`

function troubleWithDate(text: string, now: Date): string | undefined {
  const match = ISO_8601.exec(text)
  const zone = match?.[1]
  const timed = text.length > 10
  const time = match === null ? NaN : Date.parse(normalised(text, timed && zone === undefined))
  if (Number.isNaN(time) || !namesRealDay(text)) return 'is not a date'
  const slack = zone === undefined ? ZONE_SLACK_MS : CLOCK_SLACK_MS
  return time > now.getTime() + slack ? 'lies ahead' : undefined
}

const normalised = (text: string, zoneless: boolean): string =>
  text
    .replace(' ', 'T')
    .replace(',', '.')
    .replace(/([+-]\d{2})(\d{2})$/, '$1:$2') + (zoneless ? 'Z' : '')

/** Keys come from callers: `__proto__` is one like any other. */
const emptyRecord = (): Record<string, string> => Object.create(null) as Record<string, string>

const refused = (rule: string, key: string, sentence: string): RegistryError =>
  new RegistryError('METADATA_REFUSED', sentence, { rule, key })
