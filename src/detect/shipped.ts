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

/** What `detector/pii.safetensors` must be. */
const SHA256 = '6eb727584f614c8a74b45adb45637b08a562231add3ac6afd8cf1885a3b84860'

export const shippedDetector = (): ShippedDetector => ({
  file: fileURLToPath(new URL('../../detector/pii.safetensors', import.meta.url)),
  sha256: parseSha256(SHA256),
  checkpoint: parseCheckpointName('strongroom', 'pii'),
  version: parseVersionName('1.0'),
  tag: parseTagName('production'),
  metadata: { shipped_with: 'strongroom' },
})
