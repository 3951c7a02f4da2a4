import type { NewBlob, PublishedFile } from '../../db/ledger.ts'
import { SLOT_BYTES } from '../hashing/slots.ts'
import { DTYPES } from '../safetensors/dtypes.ts'
import type { Admitted } from '../vault/admit.ts'

const DTYPE_NAMES = DTYPES.map(({ name }) => name)

/** What the ledger is told of a file that was admitted; `standing` is the vault id of a copy that may stay. */
export const publishedFile = (
  path: string,
  admitted: Admitted,
  standing: string | undefined,
): PublishedFile & { readonly blob: NewBlob } => ({
  path,
  sha256: admitted.digests.sha256,
  size: admitted.sizeBytes,
  blob: { ...newBlobOf(admitted), standing },
})

function newBlobOf({ kind, staged, digests, header }: Admitted): NewBlob {
  return {
    vaultId: staged.id,
    kind,
    chunkSize: SLOT_BYTES,
    leaves: digests.leaves,
    metadata: header?.metadata ?? {},
    parameters: header?.parameters ?? 0,
    tensors:
      header === undefined || digests.tensors === undefined
        ? undefined
        : {
            ...header.columns,
            dtypeNames: DTYPE_NAMES,
            digests: digests.tensors,
            statistics: digests.statistics,
          },
  }
}
