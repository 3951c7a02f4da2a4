import fc from 'fast-check'
import t from 'tap'
import { trimmed } from '../../../src/detect/spans/range.ts'
import { anyText } from '../any-text.ts'

const EDGE = /[\s,;]/u

function inner(text: string): string {
  const { start, end } = trimmed(text, { start: 0, end: text.length }, EDGE)
  return text.slice(start, end)
}

t.test('edges go, and brackets and quotes that are half or around the whole', async (t) => {
  for (const [text, left] of [
    [' ,a; ', 'a'],
    ['(a)', 'a'],
    ['a (b)', 'a (b)'],
    ['(a) b', '(a) b'],
    ['(a) (b)', '(a) (b)'],
    ['((a) b)', '(a) b'],
    ['(a', 'a'],
    ['a)', 'a'],
    [')a(', 'a'],
    ['(a (b)', 'a (b)'],
    ['"a"', 'a'],
    ['"a" b', '"a" b'],
    ['"a', 'a'],
    ['a b"', 'a b'],
    ['「 "a" 」', 'a'],
    ['«a» b', '«a» b'],
    ["O'Brien", "O'Brien"],
    ['(((', ''],
    ['()', ''],
    ['"', ''],
    ['', ''],
    [`${'('.repeat(64)}a${')'.repeat(64)}`, 'a'],
    [`${'「'.repeat(66)}a${'」'.repeat(66)}`, '「「a」」'],
    ['('.repeat(10_000), '('.repeat(10_000 - 2 * 64)],
  ] as const)
    t.equal(inner(text), left, text)
})

t.test('what is left lies within, and its ends are no edges', async () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const { start, end } = trimmed(text, { start: 0, end: text.length }, EDGE)
      if (start > end || end > text.length) return false
      return start === end || (!EDGE.test(text.charAt(start)) && !EDGE.test(text.charAt(end - 1)))
    }),
    { numRuns: 1000, seed: 5 },
  )
})
