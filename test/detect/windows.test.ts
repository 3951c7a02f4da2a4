import fc from 'fast-check'
import t from 'tap'
import { windowsOf } from '../../src/detect/windows.ts'

t.test('a text that fits is one window, and no text none', async (t) => {
  t.strictSame(windowsOf(0, 126, 63), [])
  t.strictSame(windowsOf(1, 126, 63), [{ begin: 0, end: 1, keepBegin: 0, keepEnd: 1 }])
  t.strictSame(windowsOf(126, 126, 63), [{ begin: 0, end: 126, keepBegin: 0, keepEnd: 126 }])
})

t.test(
  'neighbours overlap, and each half of what they share is kept where it is less near a cut',
  async (t) => {
    t.strictSame(windowsOf(22, 10, 4), [
      { begin: 0, end: 10, keepBegin: 0, keepEnd: 8 },
      { begin: 6, end: 16, keepBegin: 8, keepEnd: 14 },
      { begin: 12, end: 22, keepBegin: 14, keepEnd: 22 },
    ])
  },
)

t.test('the last window ends with the text, and may be shorter', async (t) => {
  t.strictSame(windowsOf(11, 10, 4).at(-1), { begin: 6, end: 11, keepBegin: 8, keepEnd: 11 })
})

t.test('each piece is kept once, in the window where it is farthest from a cut', async () => {
  const shapes = fc
    .tuple(fc.nat(400), fc.integer({ min: 4, max: 64 }), fc.nat())
    .map(([count, window, n]) => ({ count, window, overlap: n % window }))
  fc.assert(
    fc.property(shapes, ({ count, window, overlap }) => {
      const windows = windowsOf(count, window, overlap)
      const distance = ({ begin, end }: { begin: number; end: number }, piece: number) =>
        piece < begin || piece >= end
          ? -1
          : Math.min(begin === 0 ? Infinity : piece - begin, end === count ? Infinity : end - 1 - piece) // prettier-ignore
      let next = 0
      for (const kept of windows) {
        if (kept.keepBegin !== next || kept.end - kept.begin > window) return false
        for (; next < kept.keepEnd; next += 1)
          if (windows.some((other) => distance(other, next) > distance(kept, next))) return false
      }
      return next === count
    }),
    { numRuns: 1000, seed: 5 },
  )
})
