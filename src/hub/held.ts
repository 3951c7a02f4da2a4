import type { HeldBlob, Ledger } from '../../db/ledger.ts'
import type { CheckpointName, Sha256 } from '../registry/names.ts'
import type { Vault } from '../vault/vault.ts'

/** What a token has for a checkpoint, by its content. */
export interface Holdings {
  /** Undefined also where the bytes are lost: whoever is told so brings them anew. */
  readonly find: (
    tokenId: string,
    checkpoint: CheckpointName,
    sha256: Sha256,
  ) => Promise<HeldBlob | undefined>
  /** Whether they are weights of that size, which nobody needs to upload then. */
  readonly hasWeights: (
    tokenId: string,
    checkpoint: CheckpointName,
    sha256: Sha256,
    sizeBytes: number,
  ) => Promise<boolean>
}

export function createHoldings(ledger: Ledger, vault: Vault): Holdings {
  const find: Holdings['find'] = async (tokenId, checkpoint, sha256) => {
    const held = await ledger.blobHeldBy(tokenId, sha256, checkpoint)
    if (held === undefined) return undefined
    const bytes = await vault.open(held.blob.vaultId)
    await bytes?.close()
    return bytes?.sizeBytes === held.blob.size ? held : undefined
  }
  return {
    find,
    hasWeights: async (tokenId, checkpoint, sha256, sizeBytes) => {
      const held = await find(tokenId, checkpoint, sha256)
      return held?.blob.size === sizeBytes && held.blob.kind === 'safetensors'
    },
  }
}
