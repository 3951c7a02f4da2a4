import type { Ledger } from '../../db/ledger.ts'
import type { CheckpointName, Sha256 } from '../registry/names.ts'

/** Whether a token has weights of this content already, for that checkpoint: then nobody needs to upload them. */
export async function isWeightsHeld(
  ledger: Ledger,
  tokenId: string,
  checkpoint: CheckpointName,
  sha256: Sha256,
  sizeBytes: number,
): Promise<boolean> {
  const held = await ledger.blobHeldBy(tokenId, sha256, checkpoint)
  return held?.blob.size === sizeBytes && held.blob.kind === 'safetensors'
}
