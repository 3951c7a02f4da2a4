import { createHash, hash, type Hash } from 'node:crypto'

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
  const order = inOffsetOrder(begins, ends)
  let next = 0
  let open: Hash | undefined

  for (let i = 0; i < begins.length; i++) {
    if (begins[i] === ends[i]) digests.set(empty, i * 32)
  }

  return {
    update(bytes, position) {
      const stop = position + bytes.length
      for (let tensor = order[next]; tensor !== undefined; tensor = order[next]) {
        const begin = begins[tensor] ?? 0
        const end = ends[tensor] ?? 0
        if (begin >= stop) return
        const part = bytes.subarray(Math.max(begin - position, 0), end - position)
        if (open === undefined && begin >= position && end <= stop) {
          digests.set(hash('sha256', part, 'buffer'), tensor * 32)
        } else {
          open ??= createHash('sha256')
          open.update(part)
          if (end > stop) return
          digests.set(open.digest(), tensor * 32)
          open = undefined
        }
        next += 1
      }
    },
  }
}

/** Indices of the tensors that have bytes, by offset. */
function inOffsetOrder(begins: Float64Array, ends: Float64Array): Uint32Array {
  const order = new Uint32Array(begins.length)
  let count = 0
  let sorted = true
  let last = -1
  for (let i = 0; i < begins.length; i++) {
    const begin = begins[i] ?? 0
    if (begin === ends[i]) continue
    sorted &&= begin > last
    last = begin
    order[count++] = i
  }
  const used = order.subarray(0, count)
  return sorted ? used : used.sort((a, b) => (begins[a] ?? 0) - (begins[b] ?? 0))
}
