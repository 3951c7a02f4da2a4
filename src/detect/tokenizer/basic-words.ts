import type { WordPieceSettings } from '../detector.ts'
import { createReadingWriter, type Reading } from './reading.ts'

// BERT's basic tokenizer (google-research/bert, tokenization.py) code point by code point, so that each keeps its place.

const DROPPED = /[\0\uFFFD\p{C}]/u
const WHITE_SPACE = /\p{White_Space}/u
const PUNCTUATION = /[\p{P}$+<=>^`|~]/u
const NONSPACING_MARKS = /\p{Mn}/gu
/** White space that is a control character too. */
const LINES_AND_TABS = new Set([0x09, 0x0a, 0x0d])
/** CJK ideographs as BERT knows them, first and last: each is a word. */
const IDEOGRAPHS = [
  [0x3400, 0x4dbf],
  [0x4e00, 0x9fff],
  [0xf900, 0xfaff],
  [0x20000, 0x2a6df],
  [0x2a700, 0x2b73f],
  [0x2b740, 0x2b81f],
  [0x2b820, 0x2ceaf],
  [0x2f800, 0x2fa1f],
] as const

/** A text as code points, and where each word of it ends. */
export interface Words extends Reading {
  readonly cuts: readonly number[]
}

type Role = 'dropped' | 'space' | 'alone' | 'letter'

export function createWordReader(settings: WordPieceSettings): (text: string) => Words {
  return (text) => {
    const out = createReadingWriter(text.length + 1)
    const cuts: number[] = []
    let length = 0
    const cut = () => {
      if (length > (cuts.at(-1) ?? 0)) cuts.push(length)
    }
    let at = 0
    for (const character of text) {
      const next = at + character.length
      for (const read of folded(character, settings)) {
        const role = roleOf(read)
        if (role === 'dropped') continue
        if (role !== 'letter') cut()
        if (role === 'space') continue
        out.push(read.codePointAt(0) ?? 0, at, next)
        length += 1
        if (role === 'alone') cut()
      }
      at = next
    }
    cut()
    return { ...out.done(), cuts }
  }
}

/** What a character is read as: itself, or without its accents, in lower case, as the settings say. */
function folded(character: string, { lowercase, stripAccents }: WordPieceSettings): string {
  if (roleOf(character) === 'dropped') return ''
  const bare = stripAccents ? character.normalize('NFD').replace(NONSPACING_MARKS, '') : character
  return lowercase ? bare.toLowerCase() : bare
}

function roleOf(character: string): Role {
  const point = character.codePointAt(0) ?? 0
  if (LINES_AND_TABS.has(point)) return 'space'
  if (DROPPED.test(character)) return 'dropped'
  if (WHITE_SPACE.test(character)) return 'space'
  return isIdeograph(point) || PUNCTUATION.test(character) ? 'alone' : 'letter'
}

function isIdeograph(point: number): boolean {
  return IDEOGRAPHS.some(([first, last]) => point >= first && point <= last)
}
