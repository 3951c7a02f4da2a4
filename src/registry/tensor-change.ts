import { comparableBytes, type ValueChange } from '../hashing/compare-values.ts'
import type { HashPool } from '../hashing/pool.ts'
import type { ReadVerified } from '../vault/read-verified.ts'
import type { Change, DiffTensor } from './diff.ts'
import { checkedBits } from './find-tensors.ts'
import { contextOf } from './representation.ts'
import type { ResolvedVersion } from './resolve.ts'

/** How far the values of a tensor are apart in two versions; null where that can't be said. */
export interface TensorChange {
  /** ‖to − from‖₂ / ‖from‖₂ */
  readonly relative_l2: number | null
  /** The largest magnitude of a change. */
  readonly max_abs: number | null
}

export type CompareTensors = (
  versions: { readonly from: ResolvedVersion; readonly to: ResolvedVersion },
  change: Change,
  signal: AbortSignal,
) => Promise<TensorChange>

/** Elements that one job compares: a megabyte of each side at most. */
const ELEMENTS_PER_JOB = 128 * 1024
const NOT_COMPARABLE: TensorChange = { relative_l2: null, max_abs: null }

/**
 * Compares floating tensors of the same shape, whatever their dtypes, in float64: over checked bytes of both sides, a
 * piece at a time, in a worker. Sums run over the elements of each piece of 131,072, then over the pieces, in their order.
 *
 * @throws {RegistryError} INTEGRITY_FAILURE; what the signal aborts with.
 */
export function createCompareTensors(read: ReadVerified, pool: HashPool): CompareTensors {
  return async (versions, { from, to }, signal) => {
    const [fromBytes, toBytes] = [from, to].map(({ tensor }) => comparableBytes(tensor.dtype))
    if (fromBytes === undefined || toBytes === undefined || !haveSameShape(from, to))
      return NOT_COMPARABLE
    const [before, after] = [open(read, versions.from, from), open(read, versions.to, to)]
    // In memory that the worker sees, and aligned there.
    const buffers = [fromBytes, toBytes].map(
      (bytes) => new Uint8Array(new SharedArrayBuffer(ELEMENTS_PER_JOB * bytes)),
    )
    try {
      const total = createTotal()
      const count = (from.tensor.end - from.tensor.begin) / fromBytes
      for (let at = 0; at < count; at += ELEMENTS_PER_JOB) {
        signal.throwIfAborted()
        const elements = Math.min(ELEMENTS_PER_JOB, count - at)
        const [a = NOTHING, b = NOTHING] = buffers
        const filled = {
          from: await before.fill(a.subarray(0, elements * fromBytes)),
          to: await after.fill(b.subarray(0, elements * toBytes)),
        }
        total.add(
          await pool.run('background', {
            kind: 'compare_values',
            ...filled,
            fromDtype: from.tensor.dtype,
            toDtype: to.tensor.dtype,
          }),
        )
      }
      return total.change()
    } finally {
      await Promise.all([before.close(), after.close()])
    }
  }
}

const NOTHING = new Uint8Array(0)

function haveSameShape({ tensor: { shape } }: DiffTensor, { tensor }: DiffTensor): boolean {
  return shape.length === tensor.shape.length && shape.every((dim, i) => dim === tensor.shape[i])
}

/** A tensor's bytes in runs of the caller's length. */
function open(
  read: ReadVerified,
  resolved: ResolvedVersion,
  { tensor, file }: DiffTensor,
): { fill: (into: Uint8Array) => Promise<Uint8Array>; close: () => Promise<unknown> } {
  // A row that was altered leads nowhere.
  checkedBits(tensor, file)
  const pieces = read(file.blob, tensor, contextOf(resolved, file.path))
  let piece: Uint8Array = NOTHING
  return {
    fill: async (into) => {
      for (let done = 0; done < into.length;) {
        if (piece.length === 0) {
          const next = await pieces.next()
          if (next.done === true) throw new Error('a tensor has fewer bytes than its elements')
          piece = next.value
        }
        const part = piece.subarray(0, into.length - done)
        into.set(part, done)
        done += part.length
        piece = piece.subarray(part.length)
      }
      return into
    },
    close: () => pieces.return(),
  }
}

function createTotal(): { add: (part: ValueChange) => void; change: () => TensorChange } {
  let squaredChange = 0
  let squaredNorm = 0
  let largest = 0
  let isFinite = true
  return {
    add: (part) => {
      squaredChange += part.squaredChange
      squaredNorm += part.squaredNorm
      largest = Math.max(largest, part.largest)
      isFinite &&= part.isFinite
    },
    change: () => {
      if (!isFinite) return NOT_COMPARABLE
      const relative = Math.sqrt(squaredChange) / Math.sqrt(squaredNorm)
      return {
        relative_l2: squaredNorm > 0 && Number.isFinite(relative) ? relative : null,
        max_abs: largest,
      }
    },
  }
}
