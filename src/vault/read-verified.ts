import { LRUCache } from 'lru-cache'
import { type Blob, LEAVES_PER_PAGE, type Ledger } from '../../db/ledger.ts'
import { RegistryError } from '../errors.ts'
import { SLOT_BYTES } from '../hashing/slots.ts'
import { LeafMismatch, type LeafSource, type VerifiedLeaves } from '../hashing/verified-leaves.ts'
import type { ByteRange } from '../http/range.ts'
import type { OpenBlobs, SharedBlob } from './open-blobs.ts'

/** Which file is being read, for the error and the audit entry if its bytes don't hold. */
export interface ReadContext {
  readonly path: string
  /** `owner/name@version`. */
  readonly subject: string
  readonly revision: string
}

/** Called once for a blob whose bytes don't hold; resolves when it is out of everyone's reach. */
export type OnCorrupt = (blob: Blob, chunk: number, context: ReadContext) => Promise<void>

/**
 * Bytes of a range in order, each of them checked. A piece is valid until the next one is asked for. `next` are places in
 * the same blob that the caller will want after it.
 *
 * @throws {RegistryError} INTEGRITY_FAILURE, before any byte of the chunk that doesn't hold.
 */
export type ReadVerified = (
  blob: Blob,
  range: ByteRange,
  context: ReadContext,
  next?: readonly number[],
) => AsyncGenerator<Uint8Array, void, undefined>

const READ_AHEAD = 3
/** What a response may hold of its own when slots are scarce. */
const COPY_BYTES = 64 * 1024
const PAGES_KEPT = 256

/**
 * Reads blobs through the cache of verified leaves. A caller that takes its time pins one slot; when half of
 * all slots are so pinned, further callers get copies of 64 KiB and pin nothing while they dawdle.
 */
export function createVerifiedReader(parts: {
  readonly ledger: Ledger
  readonly blobs: OpenBlobs
  readonly leaves: VerifiedLeaves
  readonly slotCount: number
  readonly onCorrupt: OnCorrupt
}): ReadVerified {
  const { ledger, blobs, leaves, slotCount, onCorrupt } = parts
  const pages = new LRUCache<string, Uint8Array>({ max: PAGES_KEPT })

  async function expectedDigest(blob: Blob, leaf: number): Promise<Uint8Array> {
    const page = Math.floor(leaf / LEAVES_PER_PAGE)
    const key = `${blob.vaultId}/${page}`
    let digests = pages.get(key)
    if (digests === undefined) {
      digests = await ledger.leafPage(blob.id, page)
      if (digests === undefined) throw new LeafMismatch('the ledger has no digest for it')
      pages.set(key, digests)
    }
    const at = (leaf % LEAVES_PER_PAGE) * 32
    const digest = digests.slice(at, at + 32)
    if (digest.length < 32) throw new LeafMismatch('the ledger has no digest for it')
    return digest
  }

  async function sourceOf(blob: Blob, file: SharedBlob, index: number): Promise<LeafSource> {
    const position = index * blob.chunkSize
    return {
      vaultId: blob.vaultId,
      index,
      fd: file.fd,
      position,
      length: Math.min(blob.chunkSize, blob.size - position),
      expected: await expectedDigest(blob, index),
      retain: file.retain,
      release: file.release,
    }
  }

  /** Never fails: whoever needs the leaf meets the failure when its turn comes. */
  async function readAhead(blob: Blob, file: SharedBlob, index: number): Promise<void> {
    file.retain()
    try {
      leaves.readAhead(await sourceOf(blob, file, index))
    } catch {
      return
    } finally {
      file.release()
    }
  }

  async function* leafOf(
    blob: Blob,
    file: SharedBlob,
    index: number,
    range: ByteRange,
    next: readonly number[],
  ): AsyncGenerator<Uint8Array> {
    const source = await sourceOf(blob, file, index)
    const from = Math.max(range.begin - source.position, 0)
    const to = Math.min(range.end - source.position, source.length)
    // The leaf that is needed now is asked for first, the ones after it behind it.
    const pinning = leaves.pin(source)
    const last = Math.floor((range.end - 1) / blob.chunkSize)
    const following = Array.from(
      { length: Math.min(READ_AHEAD, last - index) },
      (_, i) => index + 1 + i,
    )
    const later = next.map((position) => Math.floor(position / blob.chunkSize))
    for (const ahead of [...following, ...later].slice(0, READ_AHEAD))
      void readAhead(blob, file, ahead)
    let leaf = await pinning
    try {
      if (leaves.pinned() <= slotCount / 2) {
        yield leaf.bytes.subarray(from, to)
        return
      }
      for (let at = from; at < to; at += COPY_BYTES) {
        if (at > from) leaf = await leaves.pin(source)
        const copy = Uint8Array.from(leaf.bytes.subarray(at, Math.min(at + COPY_BYTES, to)))
        leaf.unpin()
        yield copy
      }
    } finally {
      leaf.unpin()
    }
  }

  async function openOrFail(blob: Blob): Promise<SharedBlob> {
    if (blob.state !== 'sealed') throw new LeafMismatch('the blob is quarantined')
    if (blob.chunkSize > SLOT_BYTES) throw new LeafMismatch('no leaf was ever so long')
    const file = await blobs.open(blob.vaultId)
    if (file === undefined) throw new LeafMismatch('the vault has no such blob')
    if (file.sizeBytes === blob.size) return file
    file.release()
    throw new LeafMismatch('the blob is not as long as it was')
  }

  /** The copy that stands for the content now, if it isn't the one that just failed. */
  async function otherCopy(failed: Blob): Promise<Blob | undefined> {
    const now = await ledger.blob(failed.id)
    // Another content may have got the number of one that was dropped.
    const isOther = now?.sha256 === failed.sha256 && now.vaultId !== failed.vaultId
    return isOther && now.state === 'sealed' ? now : undefined
  }

  async function* readCopy(
    blob: Blob,
    range: ByteRange,
    next: readonly number[],
    progress: { done: number },
  ): AsyncGenerator<Uint8Array> {
    const file = await openOrFail(blob)
    try {
      const last = Math.floor((range.end - 1) / blob.chunkSize)
      for (let index = Math.floor(range.begin / blob.chunkSize); index <= last; index++) {
        for await (const piece of leafOf(blob, file, index, range, next)) {
          progress.done += piece.length
          yield piece
        }
      }
    } finally {
      file.release()
    }
  }

  return async function* readVerified(blob, range, context, next = []) {
    if (range.end <= range.begin) return
    let copy = blob
    const progress = { done: 0 }
    for (;;) {
      const begin = range.begin + progress.done
      try {
        yield* readCopy(copy, { begin, end: range.end }, next, progress)
        return
      } catch (error) {
        if (!(error instanceof LeafMismatch)) throw error
        const chunk = Math.floor((range.begin + progress.done) / copy.chunkSize)
        // A repair puts another copy in the blob's place and removes this one: go on with that.
        const other = await otherCopy(copy)
        if (other === undefined) {
          if (copy.state === 'sealed') await onCorrupt(copy, chunk, context)
          throw new RegistryError(
            'INTEGRITY_FAILURE',
            'The stored bytes no longer match the ledger; they are not served.',
            { path: context.path, chunk },
            error,
          )
        }
        copy = other
      }
    }
  }
}
