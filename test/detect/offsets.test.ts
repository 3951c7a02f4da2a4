import fc from 'fast-check'
import t from 'tap'
import { createOffsets } from '../../src/detect/offsets.ts'
import { anyText } from './any-text.ts'

/** Any range of a text that cuts no pair of surrogates. */
const rangesOf = anyText.chain((text) => {
  const places = [0]
  for (const character of text) places.push((places.at(-1) ?? 0) + character.length)
  const place = fc.constantFrom(...places)
  return fc.tuple(fc.constant(text), place, place).map(([, a, b]) => ({ text, start: Math.min(a, b), end: Math.max(a, b) }))
}) // prettier-ignore

t.test(
  'every span of every text maps to itself in code points, as other languages count',
  async () => {
    fc.assert(
      fc.property(rangesOf, ({ text, start, end }) => {
        const placeOf = createOffsets(text, 'codepoint')
        const points = Array.from(text)
        return points.slice(placeOf(start), placeOf(end)).join('') === text.slice(start, end)
      }),
      { numRuns: 2000, seed: 5 },
    )
  },
)

t.test(
  'every span of every text maps to itself in UTF-8, a lone surrogate being U+FFFD there',
  async () => {
    fc.assert(
      fc.property(rangesOf, ({ text, start, end }) => {
        const placeOf = createOffsets(text, 'utf8')
        const bytes = Buffer.from(text).subarray(placeOf(start), placeOf(end))
        return bytes.toString() === text.slice(start, end).toWellFormed()
      }),
      { numRuns: 2000, seed: 5 },
    )
  },
)

t.test('UTF-16 units are what they are', async () => {
  fc.assert(
    fc.property(rangesOf, ({ text, start }) => createOffsets(text, 'utf16')(start) === start),
  )
})

t.test('a place within a pair is that of its beginning', async (t) => {
  t.equal(createOffsets('a😀b', 'codepoint')(2), 1)
  t.equal(createOffsets('a😀b', 'utf8')(2), 1)
})

t.test('a code point takes as many bytes of UTF-8 as it should', async (t) => {
  for (const [character, bytes] of [
    ['\0', 1],
    ['\x7f', 1],
    ['\x80', 2],
    ['\u07ff', 2],
    ['\u0800', 3],
    ['\ud800', 3],
    ['\uffff', 3],
    ['\u{10000}', 4],
    ['\u{10ffff}', 4],
  ] as const)
    t.equal(createOffsets(character, 'utf8')(character.length), bytes)
})
