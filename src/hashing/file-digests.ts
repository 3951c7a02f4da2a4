import type { HeaderColumns } from '../safetensors/columns.ts'
import type { HashPool, Session } from './pool.ts'
import { SLOT_BYTES, type Slot } from './slots.ts'
import { hasStatistics } from './statistics.ts'

export interface Digests {
  /** Hex. */
  readonly sha256: string
  /** 32 bytes for each SLOT_BYTES of the file, the last one shorter; none for an empty file. */
  readonly leaves: Uint8Array
  /** 32 bytes a tensor, in the header's order. */
  readonly tensors: Uint8Array | undefined
  /** As TensorColumns of the ledger holds them; absent without a floating tensor. */
  readonly statistics: Float64Array<ArrayBuffer> | undefined
}

/**
 * SHA-256 of a file, of each of its leaves and of each of its tensors, and the statistics of those that are floating,
 * while it streams by in slots.
 */
export interface FileDigests {
  /** From here on tensors are hashed and measured too; call it before the first slot that holds data. */
  expectTensors: (columns: HeaderColumns) => void
  /** Slots come in order, full but for the last; the slot must not change until this resolves. */
  add: (slot: Slot, position: number, length: number) => Promise<void>
  /** Once every `add` has resolved. */
  finish: () => Promise<Digests>
  /** Lets go of the workers' memory; once every `add` has resolved. */
  end: () => void
}

// The whole-file hash, the tensor hashes and the statistics are each one long chain, so each has a worker of its own
// where there are three; leaves go to whoever is free.
export function createFileDigests(pool: HashPool): FileDigests {
  const whole = pool.openSession()
  const tensors = pool.openSession()
  const leaves = growableDigests()
  let tensorDigests: Uint8Array | undefined
  let statistics: Session | undefined
  const opening: Promise<unknown>[] = []

  return {
    expectTensors: ({ begins, ends, dtypes, count }) => {
      const digests = new Uint8Array(new SharedArrayBuffer(count * 32))
      tensorDigests = digests
      if (dtypes.some(hasStatistics)) statistics = pool.openSession()
      const { id: session } = tensors
      opening.push(tensors.run('upload', { kind: 'tensors_open', session, begins, ends, digests }))
      if (statistics !== undefined) {
        const { id: session } = statistics
        opening.push(
          statistics.run('upload', { kind: 'statistics_open', session, begins, ends, dtypes }),
        )
      }
      for (const each of opening) each.catch(() => undefined)
    },
    add: async (slot, position, length) => {
      const from = { segment: slot.segment, offset: slot.offset, length }
      const jobs: Promise<unknown>[] = [
        ...opening,
        whole.run('upload', { kind: 'whole_update', session: whole.id, from }),
        pool.run('upload', { kind: 'hash_leaf', from }).then((digest) => {
          leaves.set(position / SLOT_BYTES, digest)
        }),
      ]
      if (tensorDigests !== undefined) {
        const session = tensors.id
        jobs.push(tensors.run('upload', { kind: 'tensors_update', session, from, position }))
      }
      if (statistics !== undefined) {
        const session = statistics.id
        jobs.push(statistics.run('upload', { kind: 'statistics_update', session, from, position }))
      }
      // All of them, even after a failure: the slot may be reused only when nobody reads it any more.
      for (const { reason } of (await Promise.allSettled(jobs)).filter(isRejected)) throw reason
    },
    finish: async () => {
      await Promise.all(opening)
      const [digest, measured] = await Promise.all([
        whole.run('upload', { kind: 'whole_digest', session: whole.id }),
        statistics?.run('upload', { kind: 'statistics_take', session: statistics.id }),
      ])
      return {
        sha256: Buffer.from(digest).toString('hex'),
        leaves: leaves.all(),
        tensors: tensorDigests === undefined ? undefined : new Uint8Array(tensorDigests),
        statistics: measured,
      }
    },
    end: () => {
      whole.end()
      // An upload may break off before the jobs that open the tensors had their turn.
      void Promise.allSettled(opening).then(() => {
        tensors.end()
        statistics?.end()
      })
    },
  }
}

const isRejected = (
  result: PromiseSettledResult<unknown>,
): result is PromiseRejectedResult & { reason: Error } => result.status === 'rejected'

function growableDigests(): {
  set: (index: number, digest: Uint8Array) => void
  all: () => Uint8Array
} {
  let bytes = new Uint8Array(64 * 32)
  let count = 0
  return {
    set: (index, digest) => {
      if ((index + 1) * 32 > bytes.length) {
        const larger = new Uint8Array(bytes.length * 2)
        larger.set(bytes)
        bytes = larger
      }
      bytes.set(digest, index * 32)
      count = Math.max(count, index + 1)
    },
    all: () => bytes.slice(0, count * 32),
  }
}
