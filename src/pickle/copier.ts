/** Bytes that stand in the new file as they do in the checkpoint. */
export interface Copy {
  /** Where they begin, there and here. */
  readonly from: number
  readonly to: number
  readonly sizeBytes: number
}

/**
 * Copies while a file is read from its begin to its end. Copies may lie over each other where they are read.
 *
 * @returns what takes the next piece of the file, which begins there
 */
export function createCopier(
  copies: readonly Copy[],
  write: (bytes: Uint8Array, begin: number) => void,
): (piece: Uint8Array, begin: number) => void {
  const waiting = copies.toSorted((a, b) => b.from - a.from)
  let begun: Copy[] = []

  return (piece, begin) => {
    const end = begin + piece.length
    for (let next = waiting.at(-1); next !== undefined && next.from < end; next = waiting.at(-1)) {
      begun.push(next)
      waiting.pop()
    }
    for (const { from, to, sizeBytes } of begun) {
      const first = Math.max(from, begin)
      write(piece.subarray(first - begin, from + sizeBytes - begin), to + first - from)
    }
    begun = begun.filter(({ from, sizeBytes }) => from + sizeBytes > end)
  }
}
