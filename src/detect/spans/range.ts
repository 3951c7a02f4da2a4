/** Part of a text, in UTF-16 units, end exclusive. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** What a rule makes of a span. */
export interface Refined extends Range {
  /** It is shaped as few of its category are: the classifiers must be surer of it. */
  readonly isDoubtful: boolean
}

const OPENING = '([{<«“„「『（【《〈'
const CLOSING = ')]}>»”“」』）】》〉'
/** Opens and closes. */
const SYMMETRIC = '"\'’`'

/** More of them at its ends than these stay. */
const MOST_BRACKETS = 64

/**
 * Without what `edge` matches at both ends, brackets and quotes that are open at one end only, and those that are
 * around the whole.
 *
 * @param edge one character
 */
export function trimmed(text: string, range: Range, edge: RegExp): Range {
  let { start, end } = range
  for (let brackets = 0; ; brackets += 1) {
    while (start < end && edge.test(text.charAt(start))) start += 1
    while (start < end && edge.test(text.charAt(end - 1))) end -= 1
    const inner = text.slice(start, end)
    const isPair = isAround(inner)
    const opens = isPair || isOpenAtStart(inner)
    const closes = isPair || isOpenAtEnd(inner)
    if ((!opens && !closes) || brackets === MOST_BRACKETS) return { start, end }
    if (opens) start += 1
    if (closes) end = Math.max(start, end - 1)
  }
}

function isOpenAtStart(inner: string): boolean {
  const first = inner.charAt(0)
  if (CLOSING.includes(first)) return first !== ''
  return isBracket(first) && partnerOfFirst(inner) === -1
}

function isOpenAtEnd(inner: string): boolean {
  const last = inner.at(-1) ?? ''
  if (OPENING.includes(last)) return last !== ''
  return isBracket(last) && partnerOfLast(inner) === -1
}

/** Is it one bracket or quote, its inside, and the bracket's other half? */
function isAround(inner: string): boolean {
  return (
    inner.length > 1 && isBracket(inner.charAt(0)) && partnerOfFirst(inner) === inner.length - 1
  )
}

function isBracket(character: string): boolean {
  return character !== '' && (OPENING + CLOSING + SYMMETRIC).includes(character)
}

/** Where the bracket at the beginning is closed; −1 where it isn't. */
function partnerOfFirst(inner: string): number {
  const open = inner.charAt(0)
  if (SYMMETRIC.includes(open)) return inner.indexOf(open, 1)
  const close = CLOSING.charAt(OPENING.indexOf(open))
  let depth = 0
  for (let i = 0; i < inner.length; i += 1) {
    if (inner.charAt(i) === open) depth += 1
    if (inner.charAt(i) === close) depth -= 1
    if (depth === 0) return i
  }
  return -1
}

/** Where the bracket at the end was opened; −1 where it wasn't. */
function partnerOfLast(inner: string): number {
  const close = inner.charAt(inner.length - 1)
  if (SYMMETRIC.includes(close)) return inner.slice(0, -1).lastIndexOf(close)
  const open = OPENING.charAt(CLOSING.indexOf(close))
  let depth = 0
  for (let i = inner.length - 1; i >= 0; i -= 1) {
    if (inner.charAt(i) === close) depth += 1
    if (inner.charAt(i) === open) depth -= 1
    if (depth === 0) return i
  }
  return -1
}
