import type { Ledger, VersionFile } from '../../db/ledger.ts'
import { resolveVersion } from '../registry/resolve.ts'
import type { DetectorRef } from './detector-ref.ts'
import { SETTINGS_KEY } from './open-detector.ts'

/** A version whose one safetensors file says that it is a detector. */
export interface DetectorVersion {
  /** `owner/name`, as its first publisher spelled it. */
  readonly checkpoint: string
  readonly version: string
  /** Hex. */
  readonly revision: string
  readonly file: VersionFile
}

export type Found =
  | { readonly kind: 'version'; readonly version: DetectorVersion }
  /** Nothing that may serve: a sentence says why. */
  | { readonly kind: 'absent'; readonly why: string | undefined }
  /** A version that can't detect. */
  | {
      readonly kind: 'unfit'
      readonly version: string
      readonly revision: string
      readonly why: string
    }

/** A larger one would not fit where it is taken apart. */
const MAX_BYTES = 4 * 1024 ** 3

/**
 * Where a ref leads, which is asked every second: the files are looked at only where that is news.
 *
 * @param known the revision that serves; the answer is undefined while the ref still leads there.
 * @throws {RegistryError} INTEGRITY_FAILURE, WITHDRAWN.
 */
export async function findDetector(
  ledger: Ledger,
  { owner, name, ref }: DetectorRef,
  known: string | undefined,
): Promise<Found | undefined> {
  const found = await ledger.resolve(owner, name, ref)
  if (found === undefined) return { kind: 'absent', why: undefined }
  const { version, revision, state } = found.version
  if (state === 'withdrawn') return { kind: 'absent', why: 'The version was withdrawn.' }
  if (revision === known) return undefined
  // By its revision: a tag may be moved in between.
  const resolved = await resolveVersion(ledger, { owner, name }, revision)
  const files = resolved.files.filter(({ blob }) => blob.kind === 'safetensors')
  const [file] = files
  const unfit = (why: string): Found => ({ kind: 'unfit', version, revision, why })
  if (file === undefined || files.length > 1)
    return unfit('The version has not exactly one safetensors file.')
  if (!Object.hasOwn(file.metadata, SETTINGS_KEY))
    return unfit('The version’s file holds no settings of a detector.')
  if (file.blob.size > MAX_BYTES) return unfit('The version’s file is too large for a detector.')
  const { owner: firstOwner, name: firstName } = found.version
  const checkpoint = `${firstOwner}/${firstName}`
  return { kind: 'version', version: { checkpoint, version, revision, file } }
}
