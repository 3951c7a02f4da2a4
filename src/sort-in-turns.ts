import { setImmediate } from 'node:timers/promises'

/** Items sorted or merged between two turns of the event loop: a millisecond or two. */
const ITEMS_PER_TURN = 2000

/** What `toSorted` gives, without holding the event loop for as long as many items take. */
export async function sortInTurns<T extends object>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
): Promise<readonly T[]> {
  let runs: (readonly T[])[] = []
  for (let at = 0; at < items.length; at += ITEMS_PER_TURN) {
    runs.push(items.slice(at, at + ITEMS_PER_TURN).sort(compare))
    await setImmediate()
  }
  while (runs.length > 1) {
    const merged: (readonly T[])[] = []
    for (let i = 0; i < runs.length; i += 2)
      merged.push(await merge(runs[i] ?? [], runs[i + 1] ?? [], compare))
    runs = merged
  }
  return runs[0] ?? []
}

async function merge<T extends object>(
  a: readonly T[],
  b: readonly T[],
  compare: (a: T, b: T) => number,
): Promise<readonly T[]> {
  const merged: T[] = []
  let [i, j] = [0, 0]
  for (;;) {
    const [x, y] = [a[i], b[j]]
    if (x === undefined || y === undefined) return merged.concat(a.slice(i), b.slice(j))
    const isFirst = compare(x, y) <= 0
    merged.push(isFirst ? x : y)
    if (isFirst) i += 1
    else j += 1
    if (merged.length % ITEMS_PER_TURN === 0) await setImmediate()
  }
}
