import type { Database } from 'better-sqlite3'
import { hash } from 'node:crypto'

/** What a row of a tensor says, as it is stored; digests in hex. */
export interface TensorFields {
  readonly name: string
  readonly dtype: string
  readonly shape: string
  readonly begin: number
  readonly end: number
  readonly sha256: string
  readonly statistics: Uint8Array | null
}

/** 16 bytes. */
const HEX_DIGITS = 32

/**
 * Hex, of what a tensor's row says and of which content: a row that was altered, exchanged or moved to another blob no
 * longer has the digest beside it. It has no key, as the revision has none: whoever rewrites rows and digests alike, or
 * takes a row away and lowers its blob's count, isn't seen by it.
 */
export function rowDigest(blobSha256: string, row: TensorFields): string {
  const { name, dtype, shape, begin, end, sha256, statistics } = row
  const packed =
    statistics && Buffer.from(statistics.buffer, statistics.byteOffset, statistics.length)
  const said = [blobSha256, name, dtype, shape, begin, end, sha256, packed?.toString('base64')]
  return hash('sha256', JSON.stringify(said), 'hex').slice(0, HEX_DIGITS)
}

/** The same for SQL, where a migration gives the rows that are there their digests. */
export function addRowDigest(db: Database): void {
  db.function(
    'tensor_row_digest',
    { deterministic: true },
    (
      blobSha256: string,
      name: string,
      dtype: string,
      shape: string,
      begin: number,
      end: number,
      sha256: string,
      statistics: Uint8Array | null,
    ) => rowDigest(blobSha256, { name, dtype, shape, begin, end, sha256, statistics }),
  )
}
