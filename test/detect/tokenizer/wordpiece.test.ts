import fc from 'fast-check'
import t from 'tap'
import { createTokenizer } from '../../../src/detect/tokenizer/tokenizer.ts'
import { anyText } from '../any-text.ts'
import { wordPieceDetector } from './small-detectors.ts'

const PIECES = [
  '[UNK]', '[CLS]', '[SEP]', 'ann', 'anna', '##a', '##s', "'", 's', 'the', 'bank', '##er', '##ing', '東', '京', 'muller',
  'müller', 'Anna', ',', 'ban', '##k', '##ber', 'a', '$', '5',
] // prettier-ignore

function encoder(lowercase: boolean, stripAccents: boolean) {
  const encode = createTokenizer(
    wordPieceDetector(PIECES, { lowercase, stripAccents, longestWord: 8 }),
  )
  return (text: string) => {
    const { pieces, starts, ends } = encode(text)
    return Array.from(pieces, (piece, i) => [PIECES[piece], starts[i], ends[i]])
  }
}

t.test('texts become the pieces that BERT makes of them, each with its place', async (t) => {
  // What tokenizers 0.23 gives for this vocabulary with BertNormalizer and BertPreTokenizer, in UTF-16 units.
  const uncased = encoder(true, true)
  for (const [text, pieces] of [
    [
      "The Banker's bank",
      [
        ['the', 0, 3],
        ['bank', 4, 8],
        ['##er', 8, 10],
        ["'", 10, 11],
        ['s', 11, 12],
        ['bank', 13, 17],
      ],
    ],
    [
      'Annas, anna',
      [
        ['anna', 0, 4],
        ['##s', 4, 5],
        [',', 5, 6],
        ['anna', 7, 11],
      ],
    ],
    [
      'Müller MÜLLER',
      [
        ['muller', 0, 6],
        ['muller', 7, 13],
      ],
    ],
    [
      '東京 Anna東',
      [
        ['東', 0, 1],
        ['京', 1, 2],
        ['anna', 3, 7],
        ['東', 7, 8],
      ],
    ],
    [
      'banking bankingbank',
      [
        ['bank', 0, 4],
        ['##ing', 4, 7],
        ['[UNK]', 8, 19],
      ],
    ],
    ['a\0n\u200bn☃', [['[UNK]', 0, 6]]],
    [
      'a$5',
      [
        ['a', 0, 1],
        ['$', 1, 2],
        ['5', 2, 3],
      ],
    ],
    [
      '😀 a 😀',
      [
        ['[UNK]', 0, 2],
        ['a', 3, 4],
        ['[UNK]', 5, 7],
      ],
    ],
    ['', []],
  ] as const)
    // prettier-ignore
    t.strictSame(uncased(text), pieces, JSON.stringify(text))
})

t.test('case and accents are folded as the settings say', async (t) => {
  t.strictSame(encoder(true, false)('Müller'), [['müller', 0, 6]])
  t.strictSame(encoder(false, false)('Anna'), [['Anna', 0, 4]])
  t.strictSame(encoder(false, false)('Müller'), [['[UNK]', 0, 6]])
})

t.test('whatever the text, places ascend, lie within it and are never empty', async () => {
  const encode = encoder(true, true)
  fc.assert(
    fc.property(anyText, (text) => {
      let before = 0
      return encode(text).every(([, start, end]) => {
        const isRight = Number(start) >= before && Number(end) > Number(start)
        before = Number(start)
        return isRight && Number(end) <= text.length
      })
    }),
    { numRuns: 2000, seed: 5 },
  )
})
