import { createHash, hash, type Hash } from 'node:crypto'
import { createTensorParts } from './tensor-parts.ts'

/** Hashes each tensor of a file while the file's bytes go by in order. */
export interface TensorHasher {
  /** `position`: of the first byte, absolute in the file; calls go forward without gaps over the data. */
  update: (bytes: Uint8Array, position: number) => void
}

/**
 * `begins` and `ends` are absolute byte offsets that tile the data (the validator's promise), in any order;
 * the SHA-256 of the i-th tensor is written to `digests` at 32 × i.
 */
export function createTensorHasher(
  begins: Float64Array,
  ends: Float64Array,
  digests: Uint8Array,
): TensorHasher {
  const empty = hash('sha256', '', 'buffer')
  let open: Hash | undefined

  for (let i = 0; i < begins.length; i++) {
    if (begins[i] === ends[i]) digests.set(empty, i * 32)
  }

  function take(
    tensor: number,
    bytes: Uint8Array,
    from: number,
    to: number,
    isLast: boolean,
  ): void {
    const part = bytes.subarray(from, to)
    if (open === undefined && isLast) {
      digests.set(hash('sha256', part, 'buffer'), tensor * 32)
      return
    }
    open ??= createHash('sha256')
    open.update(part)
    if (!isLast) return
    digests.set(open.digest(), tensor * 32)
    open = undefined
  }

  return { update: createTensorParts(begins, ends, () => true, take) }
}
