/** Code points as a tokenizer reads them, and the range of the caller's text, in UTF-16 units, that each came from. */
export interface Reading {
  readonly length: number
  readonly points: Int32Array
  readonly starts: Int32Array
  readonly ends: Int32Array
}

/** A reading that grows. */
export interface ReadingWriter {
  readonly push: (point: number, start: number, end: number) => void
  /** The last one pushed; −1 before the first. */
  readonly last: () => number
  readonly done: () => Reading
}

/** @param expected how many code points there will be, about */
export function createReadingWriter(expected: number): ReadingWriter {
  let length = 0
  let points = new Int32Array(expected)
  let starts = new Int32Array(expected)
  let ends = new Int32Array(expected)

  function grow(): void {
    points = doubled(points)
    starts = doubled(starts)
    ends = doubled(ends)
  }

  return {
    push(point, start, end) {
      if (length === points.length) grow()
      points[length] = point
      starts[length] = start
      ends[length] = end
      length += 1
    },
    last: () => points[length - 1] ?? -1,
    done: () => ({ length, points, starts, ends }),
  }
}

function doubled(values: Int32Array): Int32Array<ArrayBuffer> {
  const wider = new Int32Array(values.length * 2 + 16)
  wider.set(values)
  return wider
}
