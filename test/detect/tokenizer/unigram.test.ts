import fc from 'fast-check'
import t from 'tap'
import { createTokenizer } from '../../../src/detect/tokenizer/tokenizer.ts'
import { anyText } from '../any-text.ts'
import { unigramDetector } from './small-detectors.ts'

const PIECES = [
  ['<s>', 0], ['</s>', 0], ['<unk>', 0], ['▁', -3.5], ['▁the', -4], ['▁Ann', -7], ['Ann', -7.5], ['a', -5], ['s', -4],
  ["'", -4.5], ['e', -5], ['r', -5], ['er', -5.25], ['▁b', -5.5], ['b', -6], ['ank', -8], ['▁bank', -9], ['n', -5],
  ['k', -6.5], ['東', -8], ['東京', -8.5], ['京', -8], ['都', -8.25], ['▁東京都', -14], ['123', -9], ['1', -6],
  ['2', -6.25], ['3', -6.5], ['12', -7], ['.', -3], [',', -3.25], ['i', -6], ['f', -6], ['aa', -9],
] as const // prettier-ignore
const MAP = { '\t': ' ', '\n': ' ', '\u3000': ' ', '\u00ad': '', '½': '1⁄2', ﬁ: 'fi', Ａ: 'A', '▁': ' ' } // prettier-ignore

const encode = createTokenizer(unigramDetector(PIECES, MAP))

function told(text: string): (readonly [string | undefined, number | undefined, number | undefined])[] {
  const { pieces, starts, ends } = encode(text)
  return Array.from(pieces, (piece, i) => [PIECES[piece]?.[0], starts[i], ends[i]] as const)
} // prettier-ignore

t.test(
  'texts become the pieces that Hugging Face’s tokenizers make of them, each with its place',
  async (t) => {
    // What tokenizers 0.23 gives for this vocabulary with Metaspace(always, split), mapped back to UTF-16 units.
    for (const [text, pieces] of [
      [
        'the bank',
        [
          ['▁the', 0, 3],
          ['▁bank', 4, 8],
        ],
      ],
      [
        "the banker's",
        [
          ['▁the', 0, 3],
          ['▁bank', 4, 8],
          ['er', 8, 10],
          ["'", 10, 11],
          ['s', 11, 12],
        ],
      ],
      [
        'Anna  bans',
        [
          ['▁Ann', 0, 3],
          ['a', 3, 4],
          ['▁b', 6, 7],
          ['a', 7, 8],
          ['n', 8, 9],
          ['s', 9, 10],
        ],
      ],
      [
        '\tAnn\nAnn ',
        [
          ['▁Ann', 1, 4],
          ['▁Ann', 5, 8],
          ['▁', 8, 8],
        ],
      ],
      [
        '東京都 東京, 東京都',
        [
          ['▁東京都', 0, 3],
          ['▁', 3, 3],
          ['東京', 4, 6],
          [',', 6, 7],
          ['▁東京都', 8, 11],
        ],
      ],
      [
        '123 312',
        [
          ['▁', 0, 0],
          ['123', 0, 3],
          ['▁', 3, 3],
          ['3', 4, 5],
          ['12', 5, 7],
        ],
      ],
      [
        '½ ﬁn ban\u00adk',
        [
          ['▁', 0, 0],
          ['1', 0, 1],
          ['<unk>', 0, 1],
          ['2', 0, 1],
          ['▁', 1, 1],
          ['f', 2, 3],
          ['i', 2, 3],
          ['n', 3, 4],
          ['▁bank', 5, 10],
        ],
      ],
      ['Ａnn', [['▁Ann', 0, 3]]],
      [
        '☃☃a☃',
        [
          ['▁', 0, 0],
          ['<unk>', 0, 2],
          ['a', 2, 3],
          ['<unk>', 3, 4],
        ],
      ],
      [
        'a 😀😀 a',
        [
          ['▁', 0, 0],
          ['a', 0, 1],
          ['▁', 1, 1],
          ['<unk>', 2, 6],
          ['▁', 6, 6],
          ['a', 7, 8],
        ],
      ],
      [
        '<s>a<unk>b',
        [
          ['▁', 0, 0],
          ['<s>', 0, 3],
          ['a', 3, 4],
          ['<unk>', 4, 9],
          ['b', 9, 10],
        ],
      ],
      [
        '▁b▁▁a',
        [
          ['▁b', 1, 2],
          ['▁', 2, 2],
          ['a', 4, 5],
        ],
      ],
      [
        'aaa',
        [
          ['▁', 0, 0],
          ['a', 0, 1],
          ['aa', 1, 3],
        ],
      ],
      [
        'ab zzz',
        [
          ['▁', 0, 0],
          ['a', 0, 1],
          ['b', 1, 2],
          ['▁', 2, 2],
          ['<unk>', 3, 6],
        ],
      ],
      ['', []],
      ['  ', [['▁', 0, 0]]],
    ] as const)
      // prettier-ignore
      t.strictSame(told(text), pieces, JSON.stringify(text))
  },
)

t.test(
  'whatever the text, places ascend, lie within it and cut no pair of surrogates',
  async () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const { pieces, starts, ends } = encode(text)
        let before = { start: 0, end: 0 }
        for (const [i, start] of starts.entries()) {
          const end = ends[i] ?? -1
          if (start < before.start || end < start || end < before.end || end > text.length)
            throw new Error(`piece ${i}: [${start}, ${end})`)
          if (cutsPair(text, start) || cutsPair(text, end))
            throw new Error(`piece ${i} cuts a pair`)
          before = { start, end }
        }
        return pieces.every((piece) => piece >= 0 && piece < PIECES.length)
      }),
      { numRuns: 2000, seed: 5 },
    )
  },
)

function cutsPair(text: string, at: number): boolean {
  return (text.codePointAt(at - 1) ?? 0) > 0xffff
}

t.test('every character that is not dropped or white space is in a piece', async () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const { starts, ends } = encode(text)
      const covered = new Set<number>()
      starts.forEach((start, i) => {
        for (let at = start; at < (ends[i] ?? 0); at += 1) covered.add(at)
      })
      return Array.from({ length: text.length }, (_, at) => at).every(
        (at) => covered.has(at) || /[ \t\n\u3000\u00ad▁]/.test(text.charAt(at)),
      )
    }),
    { numRuns: 1000, seed: 5 },
  )
})

t.test('long words, marks, emoji, lone surrogates and NUL are read like any text', async (t) => {
  for (const [what, text, pieces] of [
    ['one word', 'a'.repeat(10_000), 5001],
    ['combining marks', `e${'\u0301'.repeat(10_000)}`, 3],
    ['emoji', '😀'.repeat(10_000), 2],
    ['lone surrogates', '\ud800'.repeat(10_000), 2],
    ['NUL', '\0'.repeat(10_000), 2],
    ['folds that grow', '½'.repeat(10_000), 30_001],
    ['white space', ' '.repeat(10_000), 1],
    ['nothing that is read', '\u00ad'.repeat(10_000), 0],
  ] as const)
    t.equal(encode(text).pieces.length, pieces, what)
})

t.test('a text doesn’t change what the next one becomes', async (t) => {
  const before = told("the banker's")
  told('東京都'.repeat(1000))
  t.strictSame(told("the banker's"), before)
})
