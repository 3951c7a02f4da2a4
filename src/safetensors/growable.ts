// Arrays that grow in place: a resizable buffer reserves addresses and takes memory page by page, so that
// neither growing to 100 MB nor trimming to the exact length at the end copies a byte.

const FIRST_BYTES = 4096

/** An empty buffer that can grow to `maxBytes`. */
export function growable(maxBytes: number): ArrayBuffer {
  return new ArrayBuffer(Math.min(FIRST_BYTES, maxBytes), { maxByteLength: maxBytes })
}

/** Makes room for `bytes` in all, doubling; views without a length of their own follow. */
export function grow(buffer: ArrayBuffer, bytes: number): void {
  if (bytes <= buffer.byteLength) return
  buffer.resize(Math.min(buffer.maxByteLength, Math.max(bytes, buffer.byteLength * 2)))
}
