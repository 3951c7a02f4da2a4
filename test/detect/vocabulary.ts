import { f32, u32, u8 } from './matrices.ts'
import type { NewTensor } from './matrices.ts'

/** Single characters of the five languages, so that most texts have no unknown piece. */
const CHARACTERS = [
  ...Array.from({ length: 94 }, (_, i) => String.fromCodePoint(0x21 + i)),
  ...Array.from('äöüßÄÖÜéèêàçñáíóúÉ€'),
  ...Array.from('あいうえおかきくけこさしすせそたちつてとなにぬねのはまやらわん'),
  ...Array.from('アイウエオカキクケコ山田太郎東京都'),
]
const WORDS = [
  'call',
  'mail',
  'name',
  'Street',
  'Anna',
  'Müller',
  'der',
  'the',
  '.com',
  'ing',
  'er',
]

export interface Vocabulary {
  readonly settings: Readonly<Record<string, unknown>>
  readonly pieces: readonly string[]
  readonly tensors: readonly NewTensor[]
}

/** Pieces one after the other, and where each ends. */
export function pieceTensors(pieces: readonly string[]): NewTensor[] {
  let end = 0
  const ends = pieces.map((piece) => (end += Buffer.byteLength(piece)))
  return [u32('tokenizer.ends', ends), u8('tokenizer.pieces', Buffer.from(pieces.join('')))]
}

export function unigramVocabulary(): Vocabulary {
  const pieces = [
    '<s>',
    '</s>',
    '<unk>',
    '▁',
    ...CHARACTERS,
    ...WORDS,
    ...WORDS.map((w) => `▁${w}`),
  ]
  const scores = pieces.map((piece, i) => (i < 3 ? 0 : Array.from(piece).length === 1 ? -9 : -7))
  return {
    settings: { kind: 'unigram', begin: 0, end: 1, unknown: 2 },
    pieces,
    tensors: [
      ...pieceTensors(pieces),
      f32('tokenizer.scores', [pieces.length], Float32Array.from(scores)),
      ...mapTensors(),
    ],
  }
}

/** Tab, line feed and wide space are spaces; a soft hyphen is nothing; ½ is three; wide letters are narrow ones. */
function mapTensors(): NewTensor[] {
  const map = new Map<number, string>([
    [0x09, ' '],
    [0x0a, ' '],
    [0xad, ''],
    [0xbd, '1⁄2'],
    [0x3000, ' '],
    ...Array.from({ length: 26 }, (_, i) => [0xff21 + i, String.fromCodePoint(0x41 + i)] as const),
  ])
  const to = [...map.values()].map((text) => Array.from(text, (c) => c.codePointAt(0) ?? 0))
  let end = 0
  return [
    u32('tokenizer.map.from', [...map.keys()]),
    u32(
      'tokenizer.map.ends',
      to.map((points) => (end += points.length)),
    ),
    u32('tokenizer.map.to', to.flat()),
  ]
}

export function wordPieceVocabulary(): Vocabulary {
  const lower = [...new Set([...CHARACTERS, ...WORDS].map((piece) => piece.toLowerCase()))]
  const pieces = [
    '[PAD]',
    '[UNK]',
    '[CLS]',
    '[SEP]',
    ...lower,
    ...lower.map((piece) => `##${piece}`),
  ]
  return {
    settings: {
      kind: 'wordpiece',
      begin: 2,
      end: 3,
      unknown: 1,
      lowercase: true,
      strip_accents: false,
      longest_word: 100,
    },
    pieces,
    tensors: pieceTensors(pieces),
  }
}
