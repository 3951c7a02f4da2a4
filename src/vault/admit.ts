import { RegistryError } from '../errors.ts'
import { createGate } from '../gate.ts'
import { createFileDigests, type Digests } from '../hashing/file-digests.ts'
import type { HashPool } from '../hashing/pool.ts'
import { SLOT_BYTES, type Slot, type Slots } from '../hashing/slots.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { createValidator, type SafetensorsHeader, type Validator } from '../safetensors/stream.ts'
import type { Staged, Vault } from './vault.ts'

/** A file that was read to its last byte, judged, hashed and staged; sealing it is the publisher's to do. */
export interface Admitted {
  readonly staged: Staged
  readonly sizeBytes: number
  readonly digests: Digests
  /** Absent for an index. */
  readonly header: SafetensorsHeader | undefined
  /** The text of an index, to be judged against its version; absent for safetensors. */
  readonly indexText: Uint8Array | undefined
  /** Lets go of the memory that its header was given. Call it once the file is published or discarded. */
  readonly release: () => void
}

export interface AdmissionRequest {
  readonly path: string
  readonly kind: 'safetensors' | 'index'
  /** What the caller announced, if it did: a lie is noticed at the header. */
  readonly announcedBytes: number | undefined
}

export interface AdmissionLimits {
  readonly maxFileBytes: number | undefined
  readonly maxIndexBytes: number
  readonly maxTensors: number
  readonly headerMemoryBytes: number
}

export type Admit = (
  body: AsyncIterable<Uint8Array>,
  request: AdmissionRequest,
) => Promise<Admitted>

const SLOTS_PER_UPLOAD = 8
const FLUSH_EVERY_BYTES = 64 * 1024 * 1024
const LARGE_HEADER_BYTES = 1024 * 1024
/** An out-of-order header with more tensors than this is sorted off the main thread. */
const SORT_HERE_TENSORS = 20_000

/**
 * One pass over an upload: the header is judged as it arrives, while every byte goes to the hashes and to
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
  const headerMemory = createGate(limits.headerMemoryBytes)

  return async function admit(body, request) {
    const { path, kind } = request
    const limit = kind === 'index' ? limits.maxIndexBytes : (limits.maxFileBytes ?? Infinity)
    if ((request.announcedBytes ?? 0) > limit) throw tooLarge(limit)
    const validator =
      kind === 'safetensors'
        ? createValidator({
            ...(request.announcedBytes === undefined ? {} : { fileBytes: request.announcedBytes }),
            maxTensors: limits.maxTensors,
            deferTilingAbove: SORT_HERE_TENSORS,
          })
        : undefined
    const staged = await vault.stage()
    const digests = createFileDigests(pool)
    const writer = createSlotWriter(staged, digests, slots, uploadSlots.enter)
    const indexChunks: Uint8Array[] = []
    let releaseHeader = (): void => undefined
    let kept = false
    let received = 0

    /**
     * A large header's memory is asked for before the header is taken in, and never waited for: a publish of
     * several such files would wait for itself.
     */
    async function judge(chunk: Uint8Array, judging: Validator): Promise<void> {
      const known = judging.headerBytes
      const before = judging.header
      judging.write(chunk)
      if (known === undefined && (judging.headerBytes ?? 0) > LARGE_HEADER_BYTES) {
        const leave = headerMemory.tryEnter(judging.headerBytes)
        if (leave === undefined) throw headersBusy()
        releaseHeader = leave
      }
      const header = judging.header
      if (before !== undefined || header === undefined) return
      if (!header.tiled) await checkTilingElsewhere(pool, header)
      digests.expectTensors(header.columns)
    }

    try {
      for await (const chunk of body) {
        received += chunk.length
        if (received > limit) throw tooLarge(limit)
        if (validator === undefined) indexChunks.push(chunk)
        else await judge(chunk, validator)
        await writer.write(chunk)
      }
      const header = validator?.end()
      await writer.drain()
      const done = await digests.finish()
      kept = true
      return {
        staged,
        sizeBytes: received,
        digests: done,
        header,
        indexText: validator === undefined ? Buffer.concat(indexChunks) : undefined,
        release: releaseHeader,
      }
    } catch (error) {
      throw error instanceof SafetensorsError ? asRefusal(error, path) : error
    } finally {
      await writer.settle()
      digests.end()
      if (!kept) {
        releaseHeader()
        // What can't be removed now is swept at the next start: the caller is told why its file was refused.
        await Promise.allSettled([staged.discard()])
      }
    }
  }
}

interface SlotWriter {
  write: (chunk: Uint8Array) => Promise<void>
  /** Sends off the last, partly filled slot and waits for everything; throws what went wrong. */
  drain: () => Promise<void>
  /** Waits until nobody reads a slot any more, and gives back what is left; never throws. */
  settle: () => Promise<void>
}

/** Gathers chunks of any size into slots, each of which is written and hashed at the same time. */
function createSlotWriter(
  staged: Staged,
  digests: { add: (slot: Slot, position: number, length: number) => Promise<void> },
  slots: Slots,
  enter: () => Promise<() => void>,
): SlotWriter {
  const mine = createGate(SLOTS_PER_UPLOAD)
  const inFlight = new Set<Promise<void>>()
  let filling: { readonly slot: Slot; readonly giveBack: () => void } | undefined
  let filled = 0
  let position = 0
  let sinceFlush = 0
  let flushing: Promise<void> = Promise.resolve()
  let failure: unknown

  async function takeSlot(): Promise<NonNullable<typeof filling>> {
    const leaveMine = await mine.enter()
    const leaveShare = await enter()
    const slot = await slots.take()
    return {
      slot,
      giveBack: () => {
        slots.give(slot)
        leaveShare()
        leaveMine()
      },
    }
  }

  async function process(
    slot: Slot,
    at: number,
    length: number,
    giveBack: () => void,
  ): Promise<void> {
    const jobs = [staged.write(at, slot.bytes.subarray(0, length)), digests.add(slot, at, length)]
    for (const result of await Promise.allSettled(jobs)) {
      if (result.status === 'rejected') failure ??= result.reason
    }
    giveBack()
  }

  function sendOff(): void {
    if (filling === undefined || filled === 0) return
    const { slot, giveBack } = filling
    const job = process(slot, position, filled, giveBack)
    inFlight.add(job)
    void job.finally(() => inFlight.delete(job))
    position += filled
    sinceFlush += filled
    filling = undefined
    filled = 0
    if (sinceFlush >= FLUSH_EVERY_BYTES) {
      sinceFlush = 0
      flushing = flushing.then(staged.flush)
      flushing.catch((error: unknown) => {
        failure ??= error
      })
    }
  }

  function throwFailure(): void {
    if (failure !== undefined)
      throw failure instanceof Error ? failure : new Error('an upload failed')
  }

  return {
    write: async (chunk) => {
      for (let done = 0; done < chunk.length;) {
        throwFailure()
        filling ??= await takeSlot()
        const part = chunk.subarray(done, done + SLOT_BYTES - filled)
        filling.slot.bytes.set(part, filled)
        filled += part.length
        done += part.length
        if (filled === SLOT_BYTES) sendOff()
      }
    },
    drain: async () => {
      sendOff()
      await Promise.all([...inFlight, flushing])
      throwFailure()
    },
    settle: async () => {
      filling?.giveBack()
      filling = undefined
      await Promise.allSettled([...inFlight, flushing])
    },
  }
}

async function checkTilingElsewhere(pool: HashPool, header: SafetensorsHeader): Promise<void> {
  const { columns, dataBegin } = header
  const verdict = await pool.run('upload', { kind: 'check_tiling', columns, dataBegin })
  if (typeof verdict === 'number') return
  const { reason, message, offset, tensor } = verdict
  throw new SafetensorsError(reason, message, { offset, tensor })
}

const tooLarge = (limit: number): RegistryError =>
  new RegistryError('TOO_LARGE', `The file is larger than ${limit} bytes.`, { limit })

const headersBusy = (): RegistryError =>
  new RegistryError('TOO_MANY_REQUESTS', 'Other uploads with large headers are being judged.', {
    retry_after: 10,
  })

function asRefusal(error: SafetensorsError, path: string): RegistryError {
  const { reason, offset, tensor, looksLike } = error
  return new RegistryError(
    'INVALID_SAFETENSORS',
    error.message,
    {
      reason,
      path,
      ...(offset === undefined ? {} : { offset }),
      ...(tensor === undefined ? {} : { tensor }),
      ...(looksLike === undefined ? {} : { looks_like: looksLike }),
    },
    error,
  )
}
