/** Strict UTF-8 as it comes: no overlong form, no surrogate, nothing beyond U+10FFFF (RFC 3629 §4). */
export interface Utf8 {
  /** Where in `bytes` the first one stands that can't; −1 when all may. Nothing is asked after one that can't. */
  read: (bytes: Uint8Array) => number
  /** Whether no character is left in the middle. */
  readonly isWhole: boolean
}

export function createUtf8(): Utf8 {
  // Continuation bytes to come, and the range of the next one.
  let more = 0
  let lowest = 0x80
  let highest = 0xbf

  function lead(byte: number): boolean {
    if (byte < 0xc2 || byte > 0xf4) return false
    more = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3
    lowest = byte === 0xe0 ? 0xa0 : byte === 0xf0 ? 0x90 : 0x80
    highest = byte === 0xed ? 0x9f : byte === 0xf4 ? 0x8f : 0xbf
    return true
  }

  return {
    get isWhole() {
      return more === 0
    },
    read(bytes) {
      for (let i = 0; i < bytes.length; i++) {
        const byte = bytes[i] ?? 0
        if (more > 0) {
          if (byte < lowest || byte > highest) return i
          lowest = 0x80
          highest = 0xbf
          more -= 1
        } else if (byte >= 0x80 && !lead(byte)) return i
      }
      return -1
    },
  }
}
