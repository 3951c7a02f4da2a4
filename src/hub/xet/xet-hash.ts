const WORD_BYTES = 8
const HASH_BYTES = 32
const ALL_ONES = 0xffff_ffff_ffff_ffffn

/**
 * A hash as Xet writes it: four numbers of 64 bits, little-endian in bytes and so backwards, eight by eight, from
 * what its digits say. A file's SHA-256 lies in a shard the same way, and its digits are then the usual ones.
 */
export function hexOf(view: DataView, at: number): string {
  let hex = ''
  for (let word = at; word < at + HASH_BYTES; word += WORD_BYTES)
    hex += view.getBigUint64(word, true).toString(16).padStart(16, '0')
  return hex
}

/** Whether the hash there is the one that ends a section of a shard. */
export function isBookend(view: DataView, at: number): boolean {
  for (let word = at; word < at + HASH_BYTES; word += WORD_BYTES)
    if (view.getBigUint64(word, true) !== ALL_ONES) return false
  return true
}
