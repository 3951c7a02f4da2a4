import type { Ledger, RefKind, Version, VersionFile } from '../../db/ledger.ts'
import { RegistryError } from '../errors.ts'
import type { CheckpointName } from './names.ts'
import { revisionOf } from './revision.ts'

/** A version that may be served, with its files: what a ref of the URL leads to. */
export interface ResolvedVersion {
  readonly version: Version
  readonly via: RefKind
  readonly files: readonly VersionFile[]
}

/**
 * Follows a ref. The manifest is rebuilt from the rows and must hash to the revision that they claim, so that
 * a row altered or swapped in the ledger is noticed before it vouches for anything.
 *
 * @throws {RegistryError} NOT_FOUND, WITHDRAWN, INTEGRITY_FAILURE.
 */
export async function resolveVersion(
  ledger: Ledger,
  checkpoint: CheckpointName,
  ref: string,
): Promise<ResolvedVersion> {
  const found = await ledger.resolve(checkpoint.owner, checkpoint.name, ref)
  if (found === undefined) {
    const known = await ledger.checkpoint(checkpoint.owner, checkpoint.name)
    throw notFound(known === undefined ? 'checkpoint' : 'version')
  }
  const { version, via } = found
  if (version.state === 'withdrawn') {
    throw new RegistryError('WITHDRAWN', 'This version was withdrawn.', {
      reason: version.withdrawnReason ?? '',
    })
  }
  const files = await ledger.filesOf(version.id)
  if (manifestDigest(version, files) !== version.revision) {
    throw new RegistryError(
      'INTEGRITY_FAILURE',
      'The ledger’s rows no longer match the revision.',
      {
        path: '',
        chunk: null,
      },
    )
  }
  return { version, via, files }
}

function manifestDigest(version: Version, files: readonly VersionFile[]): string {
  return revisionOf({
    checkpoint: `${version.owner}/${version.name}`,
    version: version.version,
    metadata: version.metadata,
    files: files.map(({ path, blob }) => ({ path, sha256: blob.sha256, size: blob.size })),
  })
}

/** @throws {RegistryError} NOT_FOUND. */
export function fileOf({ files }: ResolvedVersion, path: string): VersionFile {
  const file = files.find((f) => f.path === path)
  if (file === undefined) throw notFound('file')
  return file
}

const SENTENCES = {
  checkpoint: 'There is no such checkpoint.',
  version: 'There is no such version.',
  tag: 'There is no such tag.',
  owner: 'There is no such owner.',
  file: 'There is no such file in this version.',
  tensor: 'There is no such tensor.',
  upload: 'There is no such upload.',
  token: 'There is no such token.',
  route: 'There is nothing at this address.',
} as const

/** NOT_FOUND, which also stands for what the caller may not see. */
export const notFound = (what: keyof typeof SENTENCES): RegistryError =>
  new RegistryError('NOT_FOUND', SENTENCES[what], { what })
