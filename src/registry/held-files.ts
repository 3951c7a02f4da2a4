import { setImmediate } from 'node:timers/promises'
import type { HeldBlob, Ledger, VersionFile } from '../../db/ledger.ts'
import type { Doer } from '../access/principal.ts'
import { invalidField } from '../errors.ts'
import { sidecarForm } from '../sidecars/forms.ts'
import type { FileKind } from '../vault/judging.ts'
import type { KindOf } from './file-kinds.ts'
import type { CheckpointName, FilePath, Sha256 } from './names.ts'
import { notFound, resolveVersion } from './resolve.ts'

/** A file of a new version whose bytes the registry already holds. */
export interface HeldFile {
  readonly path: FilePath
  readonly kind: FileKind
  readonly file: VersionFile
}

/** Its bytes, each checked; a piece is valid until the next one is asked for. */
export type ReadHeld = (file: HeldFile) => AsyncIterable<Uint8Array>

/**
 * Finds files by content that the caller has: in a version that it may read, or uploaded to this checkpoint. To anyone else the content isn't
 * there, so that a hash that leaked opens nothing. The version must still be what its revision says, or rows that
 * were swapped in the ledger would get a new one to vouch for them. The publishing transaction asks again who has it.
 *
 * @throws {RegistryError} NOT_FOUND, INTEGRITY_FAILURE.
 */
export async function findHeldFiles(
  ledger: Ledger,
  { tokenId }: Doer,
  checkpoint: CheckpointName,
  wanted: readonly { readonly path: FilePath; readonly sha256: Sha256 }[],
  kindOf: KindOf,
  spendMetadata: (metadata: VersionFile['metadata']) => void,
): Promise<readonly HeldFile[]> {
  const vouched = new Set<string>()
  const known = new Map<Sha256, VersionFile>()
  const found: HeldFile[] = []

  async function requireVouched(version: NonNullable<HeldBlob['version']>): Promise<void> {
    const { owner, name, revision } = version
    const voucher = `${owner}/${name}@${revision}`
    if (!vouched.has(voucher)) await resolveVersion(ledger, { owner, name }, revision)
    vouched.add(voucher)
  }

  async function lookUp(sha256: Sha256): Promise<VersionFile> {
    await setImmediate()
    const held =
      tokenId === undefined ? undefined : await ledger.blobHeldBy(tokenId, sha256, checkpoint)
    if (held === undefined) throw notFound('file')
    const { version, ...file } = held
    if (version !== undefined) await requireVouched(version)
    return file
  }

  for (const { path, sha256 } of wanted) {
    const file = known.get(sha256) ?? (await lookUp(sha256))
    known.set(sha256, file)
    spendMetadata(file.metadata)
    const kind = kindOf(path)
    requireKind(path, kind, file)
    found.push({ path, kind, file })
  }
  return found
}

/** Text may go by another name, which is judged anew; it never becomes weights, nor weights text. */
function requireKind(path: FilePath, kind: FileKind, { blob }: VersionFile): void {
  if ((kind === 'safetensors') === (blob.kind === 'safetensors')) return
  const couldBeSidecar = kind === 'safetensors' && sidecarForm(path) !== undefined
  throw invalidField(
    'files',
    'the content is of another kind than the path',
    couldBeSidecar
      ? 'The policy of this checkpoint admits no sidecars.'
      : 'A safetensors file and any other can’t take each other’s place.',
  )
}
