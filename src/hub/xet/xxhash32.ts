const PRIME_1 = 0x9e3779b1
const PRIME_2 = 0x85ebca77
const PRIME_3 = 0xc2b2ae3d
const PRIME_4 = 0x27d4eb2f
const PRIME_5 = 0x165667b1
const STRIPE_BYTES = 16

/**
 * xxHash32 with seed 0, the checksum of LZ4 frames. It finds accidents; it proves nothing.
 * https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 */
export function xxHash32(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = 0
  let hash = PRIME_5
  if (bytes.length >= STRIPE_BYTES) {
    at = bytes.length - (bytes.length % STRIPE_BYTES)
    hash = hashStripes(view, at)
  }
  hash = (hash + bytes.length) | 0
  for (; at + 4 <= bytes.length; at += 4) {
    hash = (hash + Math.imul(view.getUint32(at, true), PRIME_3)) | 0
    hash = Math.imul(rotate(hash, 17), PRIME_4)
  }
  for (; at < bytes.length; at += 1) {
    hash = (hash + Math.imul(view.getUint8(at), PRIME_5)) | 0
    hash = Math.imul(rotate(hash, 11), PRIME_1)
  }
  return avalanche(hash)
}

function hashStripes(view: DataView, to: number): number {
  let a = (PRIME_1 + PRIME_2) | 0
  let b = PRIME_2 | 0
  let c = 0
  let d = -PRIME_1 | 0
  for (let at = 0; at < to; at += STRIPE_BYTES) {
    a = mix(a, view.getUint32(at, true))
    b = mix(b, view.getUint32(at + 4, true))
    c = mix(c, view.getUint32(at + 8, true))
    d = mix(d, view.getUint32(at + 12, true))
  }
  return (rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18)) | 0
}

const mix = (lane: number, word: number) =>
  Math.imul(rotate((lane + Math.imul(word, PRIME_2)) | 0, 13), PRIME_1)

const rotate = (word: number, bits: number) => (word << bits) | (word >>> (32 - bits))

function avalanche(hash: number): number {
  const first = Math.imul(hash ^ (hash >>> 15), PRIME_2)
  const second = Math.imul(first ^ (first >>> 13), PRIME_3)
  return (second ^ (second >>> 16)) >>> 0
}
