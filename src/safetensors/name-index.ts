// Has this name been here before? A hash table over the bytes of the names column itself: no string is made,
// nothing is ever rehashed (the header's length bounds how many names there can be), and the hash is keyed,
// so that a header can't be written to make its names collide.

/** Names as the columns hold them: all bytes, and where each ends. */
interface Names {
  readonly names: Uint8Array
  readonly nameEnds: Uint32Array
}

/** Adds the i-th name; false when an earlier one has the same bytes. */
export type NameIndex = (i: number) => boolean

/** An index of at most `capacity` names, half empty even when full. */
export function createNameIndex(columns: Names, capacity: number): NameIndex {
  const { names, nameEnds } = columns
  const slots = new Uint32Array(2 ** Math.ceil(Math.log2(capacity * 2 + 1)))
  const mask = slots.length - 1
  const [key0 = 0, key1 = 0] = crypto.getRandomValues(new Uint32Array(2))

  const beginOf = (i: number) => (i === 0 ? 0 : (nameEnds[i - 1] ?? 0))
  const endOf = (i: number) => nameEnds[i] ?? 0

  function isSame(a: number, b: number): boolean {
    const begin = beginOf(a)
    const other = beginOf(b)
    const length = endOf(a) - begin
    if (endOf(b) - other !== length) return false
    // From the end: names of one checkpoint differ there sooner than in their common prefixes.
    for (let k = length - 1; k >= 0; k -= 1) if (names[begin + k] !== names[other + k]) return false
    return true
  }

  return (i) => {
    let slot = halfSipHash(names, beginOf(i), endOf(i), key0, key1) & mask
    for (;;) {
      const taken = slots[slot] ?? 0
      if (taken === 0) {
        slots[slot] = i + 1
        return true
      }
      if (isSame(taken - 1, i)) return false
      slot = (slot + 1) & mask
    }
  }
}

/** HalfSipHash-1-3 with a 32-bit result (Aumasson and Bernstein, "SipHash", 2012; the 32-bit variant of its reference code). */
function halfSipHash(
  bytes: Uint8Array,
  begin: number,
  end: number,
  key0: number,
  key1: number,
): number {
  let v0 = key0
  let v1 = key1
  let v2 = key0 ^ 0x6c796765
  let v3 = key1 ^ 0x74656462
  const round = () => {
    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)
  }
  const byte = (k: number) => bytes[k] ?? 0

  let i = begin
  for (; i + 4 <= end; i += 4) {
    const word = byte(i) | (byte(i + 1) << 8) | (byte(i + 2) << 16) | (byte(i + 3) << 24)
    v3 ^= word
    round()
    v0 ^= word
  }
  let last = (end - begin) << 24
  for (let shift = 0; i < end; i += 1, shift += 8) last |= byte(i) << shift
  v3 ^= last
  round()
  v0 ^= last
  v2 ^= 0xff
  round()
  round()
  round()
  return v1 ^ v3
}
