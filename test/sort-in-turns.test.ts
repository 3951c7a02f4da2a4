import fc from 'fast-check'
import t from 'tap'
import { sortInTurns } from '../src/sort-in-turns.ts'

t.test('items come as an ordinary sort gives them, equal ones in the order they had', async (t) => {
  const compare = (a: readonly [number, number], b: readonly [number, number]) => a[0] - b[0]
  const lengths = [0, 1, 2, 1999, 2000, 2001, 4000, 4001, 10_000, 13_579]
  for (const length of lengths) {
    const items = fc
      .sample(fc.nat(500), { seed: length, numRuns: Math.max(1, length) })
      .slice(0, length)
      .map((key, i): readonly [number, number] => [key, i])
    t.strictSame(await sortInTurns(items, compare), items.toSorted(compare), `${length} items`)
  }
})
