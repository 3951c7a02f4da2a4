import type { Range } from './range.ts'

// Addresses are as regular as personal data gets, so they are found by their grammar, whatever the classifiers say:
// RFC 5321 and 5322's dot-atom and quoted string, RFC 6531's letters beyond ASCII, in the shapes that people write. Of the
// signs that a dot-atom may hold, those that delimit addresses in text and code (' = / ? & { } | `) delimit them here.

const MAX_LOCAL = 64
const MAX_DOMAIN = 255

/** As it is written, in wide letters, and in a URL. */
const AT = /@|＠|%40/g
/** They aren't seen: with one in it an address is read as without. */
const UNSEEN = String.raw`\u{AD}\u{200B}-\u{200D}\u{2060}\u{FEFF}`
/** Scripts without spaces between words could be the sentence that stands before an address. */
const LETTER = String.raw`[[\p{L}\p{M}\p{Nd}]--[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}ー\p{Script=Thai}]]`
/** Of ASCII, or with a letter beyond it: never both, so that there is one way to read a domain. */
const LABEL = String.raw`(?:[A-Za-z\d_\-${UNSEEN}]+|[A-Za-z\d_\-${UNSEEN}]*[\p{L}--[A-Za-z]][\p{L}\p{M}\p{Nd}_\-${UNSEEN}]*)`
const SCRIPTS = ['Han', 'Katakana', 'Hangul', 'Cyrillic', 'Greek', 'Arabic', 'Devanagari', 'Hebrew', 'Thai'] // prettier-ignore
/** logo@2x.png */
const FILE_ENDING = '(?:png|jpe?g|gif|svg|webp|pdf|css|js|ts|json|html?)'
const TOP_LEVEL = [
  String.raw`xn--[A-Za-z\d\-]{2,59}`,
  String.raw`(?!${FILE_ENDING}(?![A-Za-z]))[A-Za-z]{2,24}(?![A-Za-z\d_])`,
  ...SCRIPTS.map((script) => String.raw`\p{Script=${script}}{2,24}(?!\p{Script=${script}})`),
].join('|')
/** What follows the @; sticky, so that it is tried at one place only. */
const DOMAIN = new RegExp(String.raw`(?:${LABEL}\.)+(?:${TOP_LEVEL})`, 'vy')
const LOCAL_CHARACTER = new RegExp(String.raw`${LETTER}|[._+%~$!#*^\-${UNSEEN}]`, 'v')
const LOCAL_LETTER = new RegExp(LETTER, 'v')
const NO_BEGINNING = new RegExp(String.raw`[.'+%~$!#*^\-${UNSEEN}]`, 'u')
const QUOTED = /"[^"\s@]{1,62}"$/

/** A machine or an identifier follows, not a mailbox. */
const NO_MAILBOX_BEFORE: readonly RegExp[] = [
  // A handle of the Fediverse: @user@host.
  /@$/,
  // Who logs in, in a URL: https://user:secret@host.
  /:\/\/[^\s/?#=]*$/,
  /(?<![A-Za-z])(?:sips?|xmpp|ssh|sftp|git\+ssh|acct):$/i,
  /(?<![A-Za-z])(?:ssh|scp|sftp|rsync|mosh)(?: -[A-Za-z\d=-]+(?: [\w./~][\w./~-]*)?)* $/,
  /(?:Message-ID|In-Reply-To|References|Content-ID):\s*(?:<[^<>\s]*>\s*)*<$/i,
  /(?:^|\n)UID:$/,
]
/** A path on that machine: git@host:group/project.git. */
const PATH_AFTER = /^:[~\w.-]*(?:\/|\.git)/

/** In the order of the text, none sharing a place with another. */
export function findEmails(text: string): Range[] {
  const found: Range[] = []
  for (const { 0: sign, index: at } of text.matchAll(AT)) {
    const start = localStart(text, at, found.at(-1)?.end ?? 0)
    const end = domainEnd(text, at + sign.length)
    if (start < at && end > at && isMailbox(text, start, end)) found.push({ start, end })
  }
  return found
}

/** Where the local part before the @ begins; the @ itself where there is none. */
function localStart(text: string, at: number, least: number): number {
  const from = Math.max(least, at - MAX_LOCAL)
  const quoted = QUOTED.exec(text.slice(from, at))
  if (quoted !== null) return from + quoted.index
  let start = at
  while (start > from) {
    const previous = start - (isLowSurrogate(text, start - 1) ? 2 : 1)
    if (previous < from || !isLocal(text, previous, at)) break
    start = previous
  }
  while (start < at && NO_BEGINNING.test(text.charAt(start))) start += 1
  return start
}

function isLocal(text: string, index: number, at: number): boolean {
  const character = String.fromCodePoint(text.codePointAt(index) ?? 0)
  // An apostrophe within, as in o'neil; elsewhere it quotes.
  if (character === "'")
    return index + 1 < at && LOCAL_LETTER.test(text.charAt(index - 1)) && LOCAL_LETTER.test(text.charAt(index + 1)) // prettier-ignore
  return LOCAL_CHARACTER.test(character)
}

function isLowSurrogate(text: string, index: number): boolean {
  const unit = text.charCodeAt(index)
  return unit >= 0xdc00 && unit <= 0xdfff
}

/** Where the domain at `start` ends; 0 where there is none. */
function domainEnd(text: string, start: number): number {
  DOMAIN.lastIndex = 0
  const domain = DOMAIN.exec(text.slice(start, start + MAX_DOMAIN))?.[0]
  return domain === undefined ? 0 : start + domain.length
}

function isMailbox(text: string, start: number, end: number): boolean {
  const before = text.slice(Math.max(0, start - 200), start)
  return (
    !NO_MAILBOX_BEFORE.some((context) => context.test(before)) &&
    !PATH_AFTER.test(text.slice(end, end + 80))
  )
}
