import { type Blob, LEAVES_PER_PAGE, type Ledger } from '../../db/ledger.ts'
import type { HashPool, Session, Urgency } from '../hashing/pool.ts'
import { SLOT_BYTES } from '../hashing/slots.ts'
import type { OpenBlobs, SharedBlob } from './open-blobs.ts'

/** Leaves that one job re-reads: a worker is kept from urgent work no longer than that. */
const LEAVES_PER_JOB = 8

/**
 * Re-reads every byte of a blob at rest, past the cache, against each leaf and the whole.
 *
 * @returns the first chunk that doesn't hold; undefined when all of the blob does.
 */
export type Rehash = (blob: Blob, urgency: Urgency) => Promise<number | undefined>

export function createRehash(parts: {
  readonly ledger: Ledger
  readonly blobs: OpenBlobs
  readonly pool: HashPool
}): Rehash {
  const { ledger, blobs, pool } = parts

  async function firstBadChunk(
    blob: Blob,
    file: SharedBlob,
    session: Session,
    urgency: Urgency,
  ): Promise<number | undefined> {
    const { id, size, chunkSize, sha256 } = blob
    const count = Math.ceil(size / chunkSize)
    for (let leaf = 0; leaf < count; leaf += LEAVES_PER_JOB) {
      const position = leaf * chunkSize
      const length = Math.min(LEAVES_PER_JOB * chunkSize, size - position)
      const leaves = await digestsFrom(id, leaf, Math.ceil(length / chunkSize))
      if (leaves === undefined) return leaf
      const bad = await session.run(urgency, {
        kind: 'rehash',
        session: session.id,
        fd: file.fd,
        position,
        length,
        chunkSize,
        leaves,
      })
      if (bad >= 0) return leaf + bad
    }
    const whole = await session.run(urgency, { kind: 'whole_digest', session: session.id })
    const holds = Buffer.from(whole).toString('hex') === sha256 && file.sizeBytes === size
    return holds ? undefined : count - 1
  }

  async function digestsFrom(
    blobId: number,
    leaf: number,
    count: number,
  ): Promise<Uint8Array | undefined> {
    const page = await ledger.leafPage(blobId, Math.floor(leaf / LEAVES_PER_PAGE))
    const at = (leaf % LEAVES_PER_PAGE) * 32
    const digests = page?.slice(at, at + count * 32)
    return digests?.length === count * 32 ? digests : undefined
  }

  return async (blob, urgency) => {
    if (blob.chunkSize > SLOT_BYTES) return 0
    const file = await blobs.open(blob.vaultId)
    if (file === undefined) return 0
    const session = pool.openSession()
    try {
      return await firstBadChunk(blob, file, session, urgency)
    } finally {
      session.end()
      file.release()
    }
  }
}
