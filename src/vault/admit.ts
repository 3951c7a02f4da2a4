import type { BlobKind } from '../../db/ledger.ts'
import { RegistryError } from '../errors.ts'
import { createGate } from '../gate.ts'
import { createFileDigests, type Digests, type FileDigests } from '../hashing/file-digests.ts'
import type { HashPool } from '../hashing/pool.ts'
import type { Slots } from '../hashing/slots.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import type { SafetensorsHeader } from '../safetensors/stream.ts'
import { createTurns } from '../turns.ts'
import {
  type FileKind,
  judgeIndex,
  judgeSafetensors,
  judgeSidecar,
  type Judging,
} from './judging.ts'
import { refusalOf } from './refusal.ts'
import { createSlotWriter } from './slot-writer.ts'
import type { Staged, Vault } from './vault.ts'

/** A file that was read to its last byte, judged, hashed and staged; sealing it is the publisher's to do. */
export interface Admitted {
  readonly kind: BlobKind
  readonly staged: Staged
  readonly sizeBytes: number
  readonly digests: Digests
  /** Of safetensors only. */
  readonly header: SafetensorsHeader | undefined
  /** Of an index only: its text, to be judged against its version. */
  readonly indexText: Uint8Array | undefined
  /** Lets go of the memory that its header or text was given. Call it once the file is published or discarded. */
  readonly release: () => void
}

export interface AdmissionRequest {
  readonly path: string
  readonly kind: FileKind
  /** What the caller announced, if it did: a lie is noticed at the header. */
  readonly announcedBytes: number | undefined
}

export interface AdmissionLimits {
  readonly maxFileBytes: number | undefined
  readonly maxIndexBytes: number
  readonly maxSidecarBytes: number
  readonly maxTensors: number
  readonly headerMemoryBytes: number
}

export type Admit = (
  body: AsyncIterable<Uint8Array>,
  request: AdmissionRequest,
) => Promise<Admitted>

const HEADERS_A_ROUND = 4

/**
 * One pass over an upload: it is judged as it arrives, while every byte goes to the hashes and to
 * staging. Uploads together hold at most a quarter of the slots; each is promised one, so none starves.
 */
export function createAdmission(parts: {
  readonly vault: Vault
  readonly pool: HashPool
  readonly slots: Slots
  readonly limits: AdmissionLimits
}): Admit {
  const { vault, pool, slots, limits } = parts
  const uploadSlots = createGate(Math.floor(slots.total / 4))
  const nextTurn = createTurns(HEADERS_A_ROUND)
  const headerMemory = createGate(limits.headerMemoryBytes)

  function judgingOf(
    { kind, announcedBytes }: AdmissionRequest,
    digests: FileDigests,
    hold: (bytes: number) => void,
  ): Judging {
    if (kind === 'index') return judgeIndex(hold)
    if (kind !== 'safetensors') return judgeSidecar(pool, kind)
    const { maxTensors } = limits
    return judgeSafetensors({ pool, digests, nextTurn, hold, announcedBytes, maxTensors })
  }

  return async function admit(body, request) {
    const limit = largest(request.kind, limits)
    if ((request.announcedBytes ?? 0) > limit) throw tooLarge(limit)
    const staged = await vault.stage()
    const digests = createFileDigests(pool)
    const heldMemory: (() => void)[] = []
    const judging = judgingOf(request, digests, holdMemory)
    const writer = createSlotWriter(
      staged,
      [digests.add, ...judging.slotReaders],
      slots,
      uploadSlots.enter,
    )
    let kept = false
    let received = 0

    /** Memory is never waited for: a publish of several large files would wait for itself. */
    function holdMemory(bytes: number): void {
      const leave = headerMemory.tryEnter(bytes)
      if (leave === undefined) throw headersBusy()
      heldMemory.push(leave)
    }
    const releaseMemory = (): void => {
      for (const leave of heldMemory) leave()
    }

    try {
      for await (const chunk of body) {
        received += chunk.length
        if (received > limit) throw tooLarge(limit)
        await judging.take(chunk)
        await writer.write(chunk)
      }
      await writer.drain()
      const { header, indexText } = await judging.finish()
      const done = await digests.finish()
      kept = true
      return {
        kind: blobKindOf(request.kind),
        staged,
        sizeBytes: received,
        digests: done,
        header,
        indexText,
        release: releaseMemory,
      }
    } catch (error) {
      throw error instanceof SafetensorsError ? refusalOf(error, request) : error
    } finally {
      await writer.settle()
      digests.end()
      judging.end?.()
      if (!kept) {
        releaseMemory()
        // What can't be removed now is swept at the next start: the caller is told why its file was refused.
        await Promise.allSettled([staged.discard()])
      }
    }
  }
}

const blobKindOf = (kind: FileKind): BlobKind =>
  kind === 'safetensors' || kind === 'index' ? kind : 'sidecar'

/** Bytes that a file of this kind may have. */
function largest(kind: FileKind, limits: AdmissionLimits): number {
  const { maxFileBytes = Infinity, maxIndexBytes, maxSidecarBytes } = limits
  if (kind === 'index') return maxIndexBytes
  return kind === 'safetensors' ? maxFileBytes : Math.min(maxSidecarBytes, maxFileBytes)
}

const tooLarge = (limit: number): RegistryError =>
  new RegistryError('TOO_LARGE', `The file is larger than ${limit} bytes.`, { limit })

const headersBusy = (): RegistryError =>
  new RegistryError('TOO_MANY_REQUESTS', 'Large headers and indexes are being judged; try later.', {
    retry_after: 10,
  })
