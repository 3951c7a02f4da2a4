// A revision names everything that a version says, so that who knows the revision can check all of it.

import { createHash } from 'node:crypto'
import canonicalize from 'canonicalize'
import { RegistryError } from '../errors.ts'
import { comparePaths } from './names.ts'

interface Manifest {
  /** `owner/name`, in the spelling that the registry keeps. */
  readonly checkpoint: string
  readonly version: string
  /** In any order; `sha256` in lower-case hex, `size` in bytes. */
  readonly files: readonly {
    readonly path: string
    readonly sha256: string
    readonly size: number
  }[]
  readonly metadata: Readonly<Record<string, string>>
}

/** JSON escapes can spell half a character, which has no UTF-8 and so no digest. */
function checkMetadata(metadata: Manifest['metadata']): void {
  for (const [key, value] of Object.entries(metadata))
    if (!key.isWellFormed() || !value.isWellFormed())
      throw new RegistryError('METADATA_REFUSED', 'Metadata is valid Unicode.', {
        rule: 'unicode',
        key: key.toWellFormed(),
      })
}

/**
 * SHA-256 (hex) of the RFC 8785 JSON of the manifest: keys in order of UTF-16 code units, files in byte order of
 * path. Throws METADATA_REFUSED for metadata with lone surrogates.
 */
export function revisionOf({ checkpoint, version, files, metadata }: Manifest): string {
  checkMetadata(metadata)
  const ordered = files
    .map(({ path, sha256, size }) => ({ path, sha256, size }))
    .sort((a, b) => comparePaths(a.path, b.path))
  const json = canonicalize({ checkpoint, files: ordered, metadata, version })
  return createHash('sha256').update(String(json)).digest('hex')
}
