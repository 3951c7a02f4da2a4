import { setImmediate } from 'node:timers/promises'
import type { Ledger, VersionFile } from '../../db/ledger.ts'
import type { Principal } from '../access/principal.ts'
import { RegistryError } from '../errors.ts'
import type { FilePath, Sha256 } from './names.ts'
import { notFound, resolveVersion } from './resolve.ts'

/** A file of a new version whose bytes the registry already holds. */
export interface HeldFile {
  readonly path: FilePath
  readonly file: VersionFile
}

/**
 * Finds files by content that the caller has: in a version that it may read. To anyone else the content isn't
 * there, so that a hash that leaked opens nothing. The version must still be what its revision says, or rows that
 * were swapped in the ledger would get a new one to vouch for them. The publishing transaction asks again who has it.
 *
 * @throws {RegistryError} NOT_FOUND, INTEGRITY_FAILURE.
 */
export async function findHeldFiles(
  ledger: Ledger,
  principal: Principal,
  wanted: readonly { readonly path: FilePath; readonly sha256: Sha256 }[],
  spendMetadata: (metadata: VersionFile['metadata']) => void,
): Promise<readonly HeldFile[]> {
  const vouched = new Set<string>()
  const known = new Map<Sha256, VersionFile>()
  const found: HeldFile[] = []

  async function lookUp(sha256: Sha256): Promise<VersionFile> {
    await setImmediate()
    const held = await ledger.blobHeldBy(principal.tokenId, sha256)
    if (held === undefined) throw notFound('file')
    const { owner, name, revision, ...file } = held
    const voucher = `${owner}/${name}@${revision}`
    if (!vouched.has(voucher)) await resolveVersion(ledger, { owner, name }, revision)
    vouched.add(voucher)
    return file
  }

  for (const { path, sha256 } of wanted) {
    const file = known.get(sha256) ?? (await lookUp(sha256))
    known.set(sha256, file)
    spendMetadata(file.metadata)
    checkKind(path, file)
    found.push({ path, file })
  }
  return found
}

function checkKind(path: FilePath, file: VersionFile): void {
  if ((file.blob.kind === 'index') !== path.endsWith(INDEX_SUFFIX)) {
    throw new RegistryError(
      'INVALID_REQUEST',
      'An index and a safetensors file can’t take each other’s place.',
      {
        errors: [{ field: 'files', detail: 'the content is of another kind than the path' }],
      },
    )
  }
}

/** Names of index files, as Hugging Face's libraries write them. */
export const INDEX_SUFFIX = '.safetensors.index.json'
