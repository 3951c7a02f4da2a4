import type { Ledger } from '../../db/ledger.ts'
import type { Rehash } from '../vault/rehash.ts'

/**
 * The copy of a content that the registry holds already, if every byte of it holds at this moment: then it stays where it is.
 * Replicas and backups name it, and readers have it in their caches. Any other is replaced by what was just proven.
 *
 * @returns its vault id.
 */
export type FindStanding = (sha256: string) => Promise<string | undefined>

export const createFindStanding =
  (ledger: Ledger, rehash: Rehash): FindStanding =>
  async (sha256) => {
    const blob = await ledger.blobOf(sha256)
    if (blob?.state !== 'sealed') return undefined
    return (await rehash(blob, 'upload')) === undefined ? blob.vaultId : undefined
  }
