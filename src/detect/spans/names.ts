import { trimmed, type Range, type Refined } from './range.ts'

// What is a name's and what only stands beside it. The classifiers have learned most of this; the rules mend what pieces
// of a vocabulary can't express, and refuse what no name is.

const EDGE = /[\s,;:|*=!?…、。，．：；！？＝/\\_#~&→•–—+-]/u
const TITLE =
  /^(?:(?:sr\.?\s+d|mrs?|ms|sr|dra?|prof|herrn?|frau|mme|mlle|srta|sra|señora?|monsieur|madame)\b\.?\s+(?=\S))+/iu
const POSSESSIVE = /(?<=.)['’](?:s|S)?$/u
/** 様 and 氏 end no name; さん may, in a nickname with っ. */
const HONORIFIC = /(?<=.)(?:様|さま|氏|殿|(?<!っ)さん|くん|ちゃん)$/u
/** What is left of a title that a piece of the vocabulary cuts: `M. Oyono` without its M. */
const STOP_BEFORE = /^\.\s*/u
/** A particle that a piece of the vocabulary holds together with the name. */
const PARTICLE_BEFORE = /^[のはがをでに](?=[\p{Script=Han}\p{Script=Katakana}])/u
const PARTICLE_AFTER = /(?<=[\p{Script=Han}\p{Script=Katakana}ー])[のはがをでに]$/u
/** An initial's or a short form's full stop is the name's; that of a sentence isn't. */
const OWN_STOP =
  /(?:(?<![\p{L}\p{M}])\p{L}|\b(?:Ma|Jr|Sr|jun|sen|Thos|Jas|Wm|Chas|Geo|Fdez|Hdez|Glez|Gtez|Mtez|Rguez|Mc\p{L}))\.$/u
const LETTER = /\p{L}/u
const LONE_LATIN_LETTER = /^\p{Script=Latin}$/u
/** Addresses of machines, identifiers, paths; of slashes only SURNAME/GIVEN. */
const NO_NAME = /[@_=]|:\/\/|\d{3}|(?<!\p{L})\/|\/(?!\p{L})|\/[^/]*\//u

export function refineName(text: string, range: Range): Refined | undefined {
  const { start, end } = withoutNeighbours(text, trimmed(text, range, EDGE))
  const name = text.slice(start, end)
  if (!LETTER.test(name) || LONE_LATIN_LETTER.test(name) || NO_NAME.test(name)) return undefined
  // A handle, not a name.
  if (text.charAt(start - 1) === '@') return undefined
  return { start, end, isDoubtful: false }
}

/** Without titles before it, and possessives, honorifics and a sentence's full stop after it. */
function withoutNeighbours(text: string, range: Range): Range {
  const name = text.slice(range.start, range.end)
  const before =
    (STOP_BEFORE.exec(name) ?? TITLE.exec(name) ?? PARTICLE_BEFORE.exec(name))?.[0] ?? ''
  let inner = { start: range.start + before.length, end: range.end }
  for (;;) {
    const length = endingOf(text.slice(inner.start, inner.end))
    if (length === 0) return inner
    inner = trimmed(text, { start: inner.start, end: inner.end - length }, EDGE)
  }
}

/** Length of what ends a name without being its own. */
function endingOf(name: string): number {
  if (name.endsWith('.') && !OWN_STOP.test(name.slice(-8))) return 1
  const ending = POSSESSIVE.exec(name) ?? HONORIFIC.exec(name) ?? PARTICLE_AFTER.exec(name)
  return ending?.[0].length ?? 0
}
