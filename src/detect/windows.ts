/** Pieces `[begin, end)` go through the model together; of what it says, `[keepBegin, keepEnd)` counts. */
export interface Window {
  readonly begin: number
  readonly end: number
  readonly keepBegin: number
  readonly keepEnd: number
}

/**
 * Windows over so many pieces, neighbours overlapping by `overlap`, the last one ending with the text, where it may be
 * shorter. Each piece is kept once: in the window where it is farthest from a cut, of two such in the first.
 */
export function windowsOf(count: number, window: number, overlap: number): Window[] {
  const windows: Window[] = []
  let keepBegin = 0
  for (let begin = 0; keepBegin < count; begin += window - overlap) {
    const end = Math.min(count, begin + window)
    const next = begin + window - overlap
    // A piece at i is i − next from the cut before it in the next window, end − 1 − i from the cut after it in this one.
    const keepEnd = end === count ? count : Math.floor((end - 1 + next) / 2) + 1
    windows.push({ begin, end, keepBegin, keepEnd })
    keepBegin = keepEnd
  }
  return windows
}
