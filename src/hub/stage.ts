import type { Ledger } from '../../db/ledger.ts'
import { denied, type Principal } from '../access/principal.ts'
import { type CheckpointName, type FilePath, parseSha256, type Sha256 } from '../registry/names.ts'
import { notFound } from '../registry/resolve.ts'
import { digestMismatch, rolesThatPublish } from '../registry/publish.ts'
import { publishedFile } from '../registry/published-file.ts'
import type { FindStanding } from '../registry/standing-copy.ts'
import { isStorageFull, storageFull } from '../storage-full.ts'
import type { Admit } from '../vault/admit.ts'
import type { FileKind } from '../vault/judging.ts'
import type { Vault } from '../vault/vault.ts'

/** A file of a version to come. */
export interface StageRequest {
  readonly principal: Pick<Principal, 'tokenId'>
  readonly address: string
  readonly checkpoint: CheckpointName
  readonly path: FilePath
  readonly kind: FileKind
  readonly body: AsyncIterable<Uint8Array>
  readonly announcedBytes: number | undefined
  /** What it must turn out to be. */
  readonly expected: Sha256 | undefined
}

/**
 * Admits a file as any publish does, and keeps it for whoever uploaded it until a version names it, or its time is over.
 *
 * @returns its SHA-256.
 * @throws {RegistryError} what admitting throws, DIGEST_MISMATCH, NOT_FOUND, FORBIDDEN, UNAUTHENTICATED.
 */
export type Stage = (request: StageRequest) => Promise<Sha256>

export function createStage(parts: {
  readonly ledger: Ledger
  readonly vault: Vault
  readonly admit: Admit
  readonly findStanding: FindStanding
  readonly keptMs: number
}): Stage {
  const { ledger, vault, admit, findStanding, keptMs } = parts

  return async function stage({ body, expected, principal, checkpoint, ...file }) {
    const admitted = await admit(body, file)
    let discard = true
    try {
      const { sha256 } = admitted.digests
      if (expected !== undefined && sha256 !== expected)
        throw digestMismatch({ path: file.path, expected, actual: sha256 })
      const standing = await findStanding(sha256)
      await admitted.staged.seal()
      // As with a publish: from here on the bytes may have their row, whatever is heard of it.
      discard = false
      const outcome = await ledger.stageUpload({
        tokenId: principal.tokenId,
        roles: rolesThatPublish(checkpoint.owner),
        address: file.address,
        ...checkpoint,
        file: publishedFile(file.path, admitted, standing),
        expiresAt: new Date(Date.now() + keptMs).toISOString(),
      })
      if (outcome.outcome !== 'staged') {
        discard = true
        throw outcome.outcome === 'checkpoint_missing'
          ? notFound('checkpoint')
          : denied(outcome.outcome, 'This token may not publish here.')
      }
      for (const id of outcome.retired) await vault.remove(id)
      return parseSha256(sha256)
    } catch (error) {
      if (!isStorageFull(error)) throw error
      discard = true
      throw storageFull(error)
    } finally {
      admitted.release()
      if (discard) await Promise.allSettled([admitted.staged.discard()])
    }
  }
}
