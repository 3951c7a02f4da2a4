import { setImmediate } from 'node:timers/promises'
import {
  type Blob,
  LEAVES_PER_PAGE,
  type Ledger,
  LedgerDamaged,
  type Tensor,
  type VersionFile,
} from '../../db/ledger.ts'
import type { HashPool, Session } from '../hashing/pool.ts'
import { SLOT_BYTES } from '../hashing/slots.ts'
import type { OpenBlobs } from '../vault/open-blobs.ts'
import type { OnCorrupt, ReadContext } from '../vault/read-verified.ts'
import type { ResolvedVersion } from './resolve.ts'

export interface FileVerdict {
  readonly path: string
  readonly valid: boolean
  readonly sha256: string
  readonly size: number
  /** The first chunk that doesn't hold; absent for bytes that were quarantined before and aren't read again, and for altered rows. */
  readonly chunk?: number
  /** Its bytes hold, and the ledger's rows of its tensors don't. For the audit log: an answer doesn't tell. */
  readonly rows?: 'altered'
}

export type VerifyVersion = (
  resolved: ResolvedVersion,
) => Promise<{ readonly valid: boolean; readonly files: readonly FileVerdict[] }>

/** Leaves that one job re-reads: a worker is kept from urgent work no longer than that. */
const LEAVES_PER_JOB = 8
/** Rows of tensors that are read in one go: a few milliseconds. */
const ROWS_PER_TURN = 500

/**
 * Re-reads every byte of a version at rest, past the cache, against each leaf and the whole; and the row of every tensor
 * against its digest. `onAltered` hears of rows that don't hold: the bytes they are about do, and are not quarantined.
 */
export function createVerifyVersion(parts: {
  readonly ledger: Ledger
  readonly blobs: OpenBlobs
  readonly pool: HashPool
  readonly onCorrupt: OnCorrupt
  readonly onAltered: (why: LedgerDamaged, context: ReadContext) => void
}): VerifyVersion {
  const { ledger, blobs, pool, onCorrupt, onAltered } = parts

  /** The first chunk that doesn't hold; undefined when all of the blob does. */
  async function firstBadChunk(blob: Blob, session: Session): Promise<number | undefined> {
    if (blob.chunkSize > SLOT_BYTES) return 0
    const file = await blobs.open(blob.vaultId)
    if (file === undefined) return 0
    try {
      const count = Math.ceil(blob.size / blob.chunkSize)
      for (let leaf = 0; leaf < count; leaf += LEAVES_PER_JOB) {
        const position = leaf * blob.chunkSize
        const length = Math.min(LEAVES_PER_JOB * blob.chunkSize, blob.size - position)
        const leaves = await digestsFrom(blob.id, leaf, Math.ceil(length / blob.chunkSize))
        if (leaves === undefined) return leaf
        const { fd } = file
        const { chunkSize } = blob
        const bad = await session.run('background', {
          kind: 'rehash',
          session: session.id,
          fd,
          position,
          length,
          chunkSize,
          leaves,
        })
        if (bad >= 0) return leaf + bad
      }
      const whole = await session.run('background', { kind: 'whole_digest', session: session.id })
      const holds =
        Buffer.from(whole).toString('hex') === blob.sha256 && file.sizeBytes === blob.size
      return holds ? undefined : count - 1
    } finally {
      file.release()
    }
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

  /** What is wrong with the rows of a file's tensors. One of them too many or too few is. */
  async function alteredRow(file: VersionFile): Promise<LedgerDamaged | undefined> {
    let count = 0
    let page: readonly Tensor[]
    let last = ''
    try {
      do {
        page = await ledger.tensorPage(file, last, ROWS_PER_TURN)
        count += page.length
        last = page.at(-1)?.name ?? last
        await setImmediate()
      } while (page.length === ROWS_PER_TURN && count <= file.tensors)
    } catch (error) {
      if (error instanceof LedgerDamaged) return error
      throw error
    }
    if (count === file.tensors) return undefined
    return new LedgerDamaged(`there are not ${file.tensors} rows of tensors`, file.path)
  }

  async function verifyFile(file: VersionFile, context: ReadContext): Promise<FileVerdict> {
    const verdict = await verifyBytes(file, context)
    const altered = verdict.valid ? await alteredRow(file) : undefined
    if (altered === undefined) return verdict
    onAltered(altered, context)
    return { ...verdict, valid: false, rows: 'altered' }
  }

  async function verifyBytes(
    { path, blob }: Pick<VersionFile, 'path' | 'blob'>,
    context: ReadContext,
  ): Promise<FileVerdict> {
    const { sha256, size } = blob
    if (blob.state !== 'sealed') return { path, valid: false, sha256, size }
    const session = pool.openSession()
    try {
      const chunk = await firstBadChunk(blob, session)
      if (chunk === undefined) return { path, valid: true, sha256, size }
      // A repair may have put another copy in this one's place meanwhile: that one is to be judged.
      const now = await ledger.blob(blob.id)
      if (now !== undefined && now.vaultId !== blob.vaultId)
        return await verifyBytes({ path, blob: now }, context)
      await onCorrupt(blob, chunk, context)
      return { path, valid: false, sha256, size, chunk }
    } finally {
      session.end()
    }
  }

  return async ({ version, files }) => {
    const subject = `${version.owner}/${version.name}@${version.version}`
    const verdicts: FileVerdict[] = []
    for (const file of files) {
      verdicts.push(
        await verifyFile(file, { path: file.path, subject, revision: version.revision }),
      )
    }
    return { valid: verdicts.every(({ valid }) => valid), files: verdicts }
  }
}
