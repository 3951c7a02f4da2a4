/** The next bytes of a tensor lie in `bytes` at `from`, up to `to`. */
type TakePart<B> = (tensor: number, bytes: B, from: number, to: number, isLast: boolean) => void

/**
 * Cuts a file that goes by in order into the parts of its tensors: each tensor is ended before the next begins.
 *
 * `begins` and `ends` are absolute byte offsets that tile the data (the validator's promise), in any order.
 * Tensors without bytes, and those that aren't wanted, are passed over. Of the function returned, `position` is of
 * the first byte, absolute in the file; calls go forward without gaps over the data.
 */
export function createTensorParts<B extends Uint8Array>(
  begins: Float64Array,
  ends: Float64Array,
  isWanted: (tensor: number) => boolean,
  take: TakePart<B>,
): (bytes: B, position: number) => void {
  const order = inOffsetOrder(begins, ends, isWanted)
  let next = 0

  return (bytes, position) => {
    const stop = position + bytes.length
    for (let tensor = order[next]; tensor !== undefined; tensor = order[next]) {
      const begin = begins[tensor] ?? 0
      const end = ends[tensor] ?? 0
      if (begin >= stop) return
      const from = Math.max(begin - position, 0)
      take(tensor, bytes, from, Math.min(end, stop) - position, end <= stop)
      if (end > stop) return
      next += 1
    }
  }
}

/** Indices of the wanted tensors that have bytes, by offset. */
function inOffsetOrder(
  begins: Float64Array,
  ends: Float64Array,
  isWanted: (tensor: number) => boolean,
): Uint32Array {
  const order = new Uint32Array(begins.length)
  let count = 0
  let sorted = true
  let last = -1
  for (let i = 0; i < begins.length; i++) {
    const begin = begins[i] ?? 0
    if (begin === ends[i] || !isWanted(i)) continue
    sorted &&= begin > last
    last = begin
    order[count++] = i
  }
  const used = order.subarray(0, count)
  return sorted ? used : used.sort((a, b) => (begins[a] ?? 0) - (begins[b] ?? 0))
}
