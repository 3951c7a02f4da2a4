import { fileURLToPath } from 'node:url'
import type { CheckpointName, Sha256, TagName, VersionName } from '../registry/names.ts'
import {
  parseCheckpointName,
  parseSha256,
  parseTagName,
  parseVersionName,
} from '../registry/names.ts'
import type { Metadata } from '../registry/version-metadata.ts'

/** A detector that comes with the server, and is published at its first start like anybody's file. */
export interface ShippedDetector {
  readonly file: string
  /** What the file must be. */
  readonly sha256: Sha256
  readonly checkpoint: CheckpointName
  readonly version: VersionName
  /** Given once, to this version: an admin's from then on. */
  readonly tag: TagName
  readonly metadata: Metadata
}

/** What `detector/pii.safetensors` must be; undefined while none comes with the server. */
const FILE: { readonly sha256: string | undefined } = { sha256: undefined }

export function shippedDetector(): ShippedDetector | undefined {
  if (FILE.sha256 === undefined) return undefined
  return {
    file: fileURLToPath(new URL('../../detector/pii.safetensors', import.meta.url)),
    sha256: parseSha256(FILE.sha256),
    checkpoint: parseCheckpointName('strongroom', 'pii'),
    version: parseVersionName('1.0'),
    tag: parseTagName('production'),
    metadata: { shipped_with: 'strongroom' },
  }
}
