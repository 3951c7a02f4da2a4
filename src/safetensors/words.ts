/** A fixed list of words, found by their bytes: a header holds millions, too many to make each a string. */
interface Words {
  /** Index of the word that the first `length` bytes are; undefined when they are none of them. */
  find(bytes: Uint8Array, length: number): number | undefined
}

/** Words of ASCII. */
export function createWords(words: readonly string[]): Words {
  const encoded = words.map((word) => new TextEncoder().encode(word))
  return {
    find(bytes, length) {
      const index = encoded.findIndex((word) => isSame(word, bytes, length))
      return index === -1 ? undefined : index
    },
  }
}

function isSame(word: Uint8Array, bytes: Uint8Array, length: number): boolean {
  if (word.length !== length) return false
  for (let i = 0; i < length; i += 1) if (word[i] !== bytes[i]) return false
  return true
}
