const LEAST_TEXT_BYTES = 64 * 1024

/** Gathers a text of unknown length; chunks of a byte cost a byte. `hold` is asked for the memory before it is made. */
export function createGrowingText(hold: (bytes: number) => void): {
  add: (chunk: Uint8Array) => void
  all: () => Uint8Array
} {
  let bytes = new Uint8Array(0)
  let length = 0
  return {
    add: (chunk) => {
      if (length + chunk.length > bytes.length) {
        const room = Math.max(LEAST_TEXT_BYTES, 2 * bytes.length, length + chunk.length)
        hold(room - bytes.length)
        const larger = new Uint8Array(room)
        larger.set(bytes)
        bytes = larger
      }
      bytes.set(chunk, length)
      length += chunk.length
    },
    all: () => bytes.subarray(0, length),
  }
}
