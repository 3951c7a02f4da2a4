/**
 * The pieces of a text without the two special ones, and the range of each in UTF-16 units of the caller's text. A piece
 * that stands for white space alone has an empty range. Starts and ends never descend and lie within the text, though
 * pieces that came from one code point share it.
 */
export interface Encoded {
  readonly pieces: Int32Array
  readonly starts: Int32Array
  readonly ends: Int32Array
}

export interface EncodedWriter {
  readonly push: (piece: number, start: number, end: number) => void
  readonly done: () => Encoded
}

/** @param most how many pieces there can be */
export function createEncodedWriter(most: number): EncodedWriter {
  let length = 0
  const pieces = new Int32Array(most)
  const starts = new Int32Array(most)
  const ends = new Int32Array(most)
  return {
    push(piece, start, end) {
      pieces[length] = piece
      starts[length] = start
      ends[length] = end
      length += 1
    },
    done: () => ({
      pieces: pieces.slice(0, length),
      starts: starts.slice(0, length),
      ends: ends.slice(0, length),
    }),
  }
}
