import fc from 'fast-check'
import t from 'tap'
import { featuresOf } from '../../src/detect/features.ts'
import { anyText } from './any-text.ts'

/** Shape and gap of the pieces at these places of a text. */
function features(text: string, ...ranges: (readonly [number, number])[]) {
  const encoded = {
    pieces: new Int32Array(ranges.length),
    starts: Int32Array.from(ranges, ([start]) => start),
    ends: Int32Array.from(ranges, ([, end]) => end),
  }
  return Array.from(featuresOf(text, encoded), (feature) => [feature >> 2, feature & 3])
}

t.test('a piece’s shape is how it is written', async (t) => {
  for (const [piece, shape] of [
    ['', 0],
    ['anna', 1],
    ['o’neil', 1],
    ['Anna', 2],
    ['ǅungla', 2],
    ['Ａnna', 2],
    ['ANNA', 3],
    ['A1', 3],
    ['McKay', 4],
    ['aB', 4],
    ['2024', 5],
    ['１２', 5],
    ['٣٤', 5],
    [',', 6],
    ['😀', 6],
    ['\ud800', 6],
    ['東京', 7],
    ['3台', 7],
    ['½', 7],
    ['A', 8],
    ['𝐀', 8],
  ] as const)
    t.strictSame(features(piece, [0, piece.length]), [[shape, 0]], piece)
})

t.test('a piece’s gap is what stands between it and what was read before', async (t) => {
  for (const [between, gap] of [
    ['', 0],
    [' ', 1],
    ['\t', 1],
    ['😀', 1],
    ['\n', 2],
    ['  \n', 2],
    ['  ', 3],
    ['\r\t', 3],
  ] as const) {
    const text = `a${between}b`
    t.strictSame(features(text, [0, 1], [text.length - 1, text.length])[1], [1, gap], between)
  }
})

t.test(
  'what stands before the first piece is its gap, and pieces that share a place have none',
  async (t) => {
    t.strictSame(features('\nb', [1, 2]), [[1, 2]])
    t.strictSame(features('½', [0, 1], [0, 1]), [[7, 0], [7, 0]]) // prettier-ignore
  },
)

t.test('an empty piece takes no gap from the one after it', async (t) => {
  t.strictSame(features('a b', [0, 1], [1, 1], [2, 3]), [[1, 0], [0, 0], [1, 1]]) // prettier-ignore
})

t.test('there are 36 features', async () => {
  fc.assert(
    fc.property(anyText, (text) =>
      features(text, [0, text.length]).every(([shape = 9, gap = 4]) => shape <= 8 && gap <= 3),
    ),
  )
})
