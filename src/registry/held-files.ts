import type { Ledger, VersionFile } from '../../db/ledger.ts'
import type { Principal } from '../access/principal.ts'
import { RegistryError } from '../errors.ts'
import type { FilePath, Sha256 } from './names.ts'
import { notFound } from './resolve.ts'

/** A file of a new version whose bytes the registry already holds. */
export interface HeldFile {
  readonly path: FilePath
  readonly file: VersionFile
}

/**
 * Finds content that the caller has: in a version that it may read. To anyone else the content isn't there, so
 * that a hash that leaked opens nothing. The publishing transaction asks again.
 *
 * @throws {RegistryError} NOT_FOUND.
 */
export async function findHeldFile(
  ledger: Ledger,
  principal: Principal,
  path: FilePath,
  sha256: Sha256,
): Promise<HeldFile> {
  const file = await ledger.blobHeldBy(principal.tokenId, sha256)
  if (file === undefined) throw notFound('file')
  if ((file.blob.kind === 'index') !== path.endsWith(INDEX_SUFFIX)) {
    throw new RegistryError(
      'INVALID_REQUEST',
      'An index and a safetensors file can’t take each other’s place.',
      {
        errors: [{ field: 'files', detail: 'the content is of another kind than the path' }],
      },
    )
  }
  return { path, file }
}

/** Names of index files, as Hugging Face's libraries write them. */
export const INDEX_SUFFIX = '.safetensors.index.json'
