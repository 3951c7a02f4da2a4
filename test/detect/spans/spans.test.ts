import fc from 'fast-check'
import t from 'tap'
import { spansOf } from '../../../src/detect/spans/spans.ts'
import { createTokenizer } from '../../../src/detect/tokenizer/tokenizer.ts'
import { openDetector } from '../../../src/detect/open-detector.ts'
import { anyText } from '../any-text.ts'
import { tinyDetector } from '../fixture.ts'
import { found, piecesOf, probabilitiesOf, type Said, settings } from './judged.ts'

function spans(text: string, said: readonly Said[], threshold = 0.5) {
  const encoded = piecesOf(text)
  const probabilities = probabilitiesOf(encoded, said)
  return spansOf({ text, encoded, probabilities, settings: settings(threshold) })
}

t.test(
  'a span has the mean probability of its pieces, and its calibrated confidence',
  async (t) => {
    const [span] = spans('Anna Berg', [
      { category: 'personal_name', start: 0, end: 4, probability: 0.75 },
      { category: 'personal_name', start: 4, end: 9, probability: 1 },
    ])
    t.match(span, { category: 'personal_name', start: 0, end: 9, probability: 0.875 })
    // On the line from (0.5, 0.2) to (1, 1).
    t.ok(Math.abs((span?.confidence ?? 0) - 0.8) < 1e-6)
  },
)

t.test('what is under its category’s threshold is no span', async (t) => {
  const said = [{ category: 'personal_name', start: 0, end: 4, probability: 0.8 }] as const
  t.equal(spans('Anna Berg', said, 0.79).length, 1)
  t.equal(spans('Anna Berg', said, 0.81).length, 0)
})

t.test('with thresholds of 0 every candidate is told', async (t) => {
  const [span] = spans('Anna Berg', [{ category: 'personal_name', start: 0, end: 4, probability: 0.51 }], 0) // prettier-ignore
  t.match(span, { start: 0, end: 4 })
})

t.test(
  'an address that obeys the grammar is found though the classifiers say nothing',
  async (t) => {
    t.match(spans('to ann@x.example', []), [{ category: 'email', start: 3, end: 16 }])
  },
)

t.test('a category that the detector does not know is not found by grammar either', async (t) => {
  const text = 'to ann@x.example'
  const { decoding } = settings(0.5)
  const classifiers = [{ kind: 'logistic', link: 'softmax', labels: ['none', 'phone'] }] as const
  const encoded = piecesOf(text)
  const probabilities = new Float32Array(encoded.pieces.length * 2)
  t.strictSame(spansOf({ text, encoded, probabilities, settings: { classifiers, decoding } }), [])
})

t.test('what an address shares with another category is the address’s', async (t) => {
  const text = 'Anna anna@x.example 0171 3920055'
  t.match(spans(text, [{ category: 'personal_name', start: 0, end: 9 }, { category: 'phone', start: 14, end: 32 }]), [
    { category: 'personal_name', start: 0, end: 4 },
    { category: 'email', start: 5, end: 19 },
    { category: 'phone', start: 20, end: 32 },
  ]) // prettier-ignore
})

t.test('the pieces of a word are judged together, and the s of a genitive alone', async (t) => {
  const names = (text: string, cut: number, last: number) => {
    const encoded = { pieces: new Int32Array(2), starts: Int32Array.of(0, cut), ends: Int32Array.of(cut, text.length) } // prettier-ignore
    const said = [
      { category: 'personal_name', start: 0, end: cut },
      { category: 'personal_name', start: cut, end: text.length, probability: last },
    ] as const
    const probabilities = probabilitiesOf(encoded, said)
    return spansOf({ text, encoded, probabilities, settings: settings(0.5) })
  }
  t.match(names('Kowalski', 5, 0.2), [{ start: 0, end: 8 }])
  t.match(names('Oskars', 5, 0.2), [{ start: 0, end: 5 }])
  t.match(names('Oskars', 5, 0.9), [{ start: 0, end: 6 }])
  t.match(names('ナカザト', 2, 0.2), [{ start: 0, end: 4 }])
  t.match(names('中山', 1, 0.2), [{ start: 0, end: 1 }])
})

t.test('classifiers of one category are averaged', async (t) => {
  const { decoding } = settings(0.5)
  const classifiers = [
    { kind: 'logistic', link: 'sigmoid', labels: ['personal_name'] },
    { kind: 'logistic', link: 'softmax', labels: ['none', 'personal_name.begin', 'personal_name.inside'] },
  ] as const // prettier-ignore
  const text = 'Anna'
  const encoded = piecesOf(text)
  const probabilities = Float32Array.of(0.75, 0.25, 0.5, 0.25)
  const [span] = spansOf({ text, encoded, probabilities, settings: { classifiers, decoding } })
  t.match(span, { start: 0, end: 4, probability: 0.75 })
})

t.test('parts that continue a span are one with it across what separates them', async (t) => {
  for (const [category, first, between, second, ends] of [
    ['address', 'Am Wall 7', ', ', '28195 Bremen', [23]],
    ['address', 'Am Wall 7', '\n    ', '28195 Bremen', [26]],
    ['address', 'Am Wall 7', ' – (', '28195 Bremen', [25]],
    ['address', 'Am Wall 7', '\n\n', '28195 Bremen', [9, 23]],
    ['address', 'Am Wall 7', ' or ', '28195 Bremen', [9, 25]],
    ['personal_name', 'Berg', ', ', 'Anna', [10]],
    ['personal_name', 'J', '. ', 'Berg', [7]],
    ['personal_name', 'Berg', '\n', 'Anna', [4, 9]],
    ['personal_name', 'Berg', '; ', 'Anna', [4, 10]],
    ['phone', '0491', ' / ', '5550118', [14]],
  ] as const) {
    const text = first + between + second
    const start = text.length - second.length
    const said = [
      { category, start: 0, end: first.length },
      { category, start, end: text.length, continues: true },
    ]
    t.strictSame(spans(text, said).map(({ end }) => end), ends, JSON.stringify(text)) // prettier-ignore
  }
})

t.test('a span may touch what is none', async (t) => {
  t.strictSame(found('phone', '電話⟦0171 3920055⟧'), ['0171 3920055'])
})

t.test('a text without pieces has no spans', async (t) => {
  t.strictSame(spans('', []), [])
  t.strictSame(spans(' \n', []), [])
})

const detector = openDetector(tinyDetector())
const encode = createTokenizer(detector)
const labels = detector.settings.classifiers.reduce((sum, each) => sum + each.labels.length, 0)

t.test(
  'whatever the text and the model say, spans ascend, are apart, within the text, and cut no pair',
  async () => {
    fc.assert(
    fc.property(anyText, fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 7, maxLength: 97 }), (text, values) => {
      const encoded = encode(text)
      const length = encoded.pieces.length * labels
      const probabilities = Float32Array.from({ length }, (_, i) => (values[i % values.length] ?? 0) ** 4) // prettier-ignore
      const { classifiers, decoding } = detector.settings
      const open = Object.entries(decoding.categories).map(([name, of]) => [name, { ...of, threshold: 0 }]) // prettier-ignore
      const categories = Object.fromEntries(open) as typeof decoding.categories
      let before = 0
      for (const { start, end, probability } of spansOf({ text, encoded, probabilities, settings: { classifiers, decoding: { ...decoding, categories } } })) {
        if (start < before || end <= start || end > text.length) return false
        if (!(probability >= 0 && probability <= 1)) return false
        if ([start, end].some((at) => (text.codePointAt(at - 1) ?? 0) > 0xffff)) return false
        before = end
      }
      return true
    }),
    { numRuns: 1000, seed: 5 },
  ) // prettier-ignore
  },
)

t.test('long texts of one kind are decoded like any', async (t) => {
  for (const part of ['a', '1', '1 ', '(', '"', 'a, ', '1-', '+1', '東', 'の', '. ', '\u0301', '😀', '\ud800', "a's ", '12 kg ', 'Mr. ', 'ext. 1', '123456\n', '/']) {
    const text = part.repeat(Math.ceil(10_000 / part.length))
    for (const category of ['personal_name', 'address', 'phone'] as const)
      t.ok(Array.isArray(spans(text, [{ category, start: 0, end: text.length, probability: 0.9 }])), part)
  } // prettier-ignore
})
