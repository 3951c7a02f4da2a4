import { RegistryError } from '../errors.ts'
import { createGate } from '../gate.ts'
import { createGrowingText } from './growing-text.ts'
import { createFileDigests, type Digests } from '../hashing/file-digests.ts'
import type { CheckTilingResult } from '../hashing/jobs.ts'
import type { HashPool } from '../hashing/pool.ts'
import type { Slots } from '../hashing/slots.ts'
import type { HeaderColumns } from '../safetensors/columns.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { createValidator, type SafetensorsHeader, type Validator } from '../safetensors/stream.ts'
import { createTurns } from '../turns.ts'
import { createSlotWriter } from './slot-writer.ts'
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
  /** Lets go of the memory that its header or text was given. Call it once the file is published or discarded. */
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

const LARGE_HEADER_BYTES = 1024 * 1024
/** Judged in a few milliseconds; so many uploads have their turn in one round of the event loop. */
const HEADER_BYTES_A_TURN = 192 * 1024
const HEADERS_A_ROUND = 4
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
  const nextTurn = createTurns(HEADERS_A_ROUND)
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
    const indexText = createGrowingText(holdMemory)
    const heldMemory: (() => void)[] = []
    let kept = false
    let received = 0
    let sinceTurn = 0

    /** Memory is never waited for: a publish of several large files would wait for itself. */
    function holdMemory(bytes: number): void {
      const leave = headerMemory.tryEnter(bytes)
      if (leave === undefined) throw headersBusy()
      heldMemory.push(leave)
    }
    const releaseMemory = (): void => {
      for (const leave of heldMemory) leave()
    }

    async function judge(chunk: Uint8Array, judging: Validator): Promise<void> {
      // One round of the event loop can bring 2 MiB: so much of a header would keep it for 60 ms and more.
      sinceTurn += judging.header === undefined ? chunk.length : 0
      if (sinceTurn > HEADER_BYTES_A_TURN) {
        sinceTurn = 0
        await nextTurn()
      }
      const known = judging.headerBytes
      const before = judging.header
      judging.write(chunk)
      const bytes = judging.headerBytes ?? 0
      // Before the rest of it is taken in.
      if (known === undefined && bytes > LARGE_HEADER_BYTES) holdMemory(bytes)
      const header = judging.header
      if (before !== undefined || header === undefined) return
      if (!header.tiled) await checkTilingElsewhere(pool, header)
      digests.expectTensors(header.columns)
    }

    try {
      for await (const chunk of body) {
        received += chunk.length
        if (received > limit) throw tooLarge(limit)
        if (validator !== undefined) await judge(chunk, validator)
        else indexText.add(chunk)
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
        indexText: validator === undefined ? indexText.all() : undefined,
        release: releaseMemory,
      }
    } catch (error) {
      throw error instanceof SafetensorsError ? asRefusal(error, path) : error
    } finally {
      await writer.settle()
      digests.end()
      if (!kept) {
        releaseMemory()
        // What can't be removed now is swept at the next start: the caller is told why its file was refused.
        await Promise.allSettled([staged.discard()])
      }
    }
  }
}

async function checkTilingElsewhere(pool: HashPool, header: SafetensorsHeader): Promise<void> {
  const { columns, dataBegin } = header
  const check = (what: HeaderColumns): Promise<CheckTilingResult> =>
    pool.run('upload', { kind: 'check_tiling', columns: what, dataBegin })
  // Names are most of a header, and copying takes its time: all but offsets follows only when a name must be told.
  const nameless: HeaderColumns = {
    count: columns.count,
    begins: columns.begins,
    ends: columns.ends,
    names: new Uint8Array(0),
    nameEnds: new Uint32Array(0),
    dtypes: new Uint8Array(0),
    dims: new Float64Array(0),
    dimEnds: new Uint32Array(0),
  }
  if (typeof (await check(nameless)) === 'number') return
  const verdict = await check(columns)
  if (typeof verdict === 'number') throw new Error('a header was judged in two ways')
  const { reason, message, offset, tensor } = verdict
  throw new SafetensorsError(reason, message, { offset, tensor })
}

const tooLarge = (limit: number): RegistryError =>
  new RegistryError('TOO_LARGE', `The file is larger than ${limit} bytes.`, { limit })

const headersBusy = (): RegistryError =>
  new RegistryError('TOO_MANY_REQUESTS', 'Large headers and indexes are being judged; try later.', {
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
