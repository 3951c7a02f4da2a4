/** Part of a long text that is judged by itself. Places are UTF-16 units of the whole. */
export interface Piece {
  readonly text: string
  readonly begin: number
  /** What begins before this is this piece's to tell; what begins later is the next one's. */
  readonly keepTo: number
}

/** Code points are no more than that: within what a registry takes, as it comes. */
const MOST_UNITS = 8000
/** What neighbours share, unless they meet between two paragraphs: so that nothing is cut in two for both. */
const SHARED_UNITS = 256

/** Cuts a text that comes in parts, at a paragraph's end where there is one, else at a line's, else between words. */
export async function* piecesOf(
  parts: AsyncIterable<string>,
): AsyncGenerator<Piece, void, undefined> {
  let rest = ''
  let begin = 0
  for await (const part of parts) {
    rest += part
    while (rest.length > MOST_UNITS) {
      const { at, shared } = cutOf(rest)
      const next = beforePair(rest, at - shared)
      yield { text: rest.slice(0, at), begin, keepTo: begin + beforePair(rest, at - shared / 2) }
      rest = rest.slice(next)
      begin += next
    }
  }
  if (rest !== '') yield { text: rest, begin, keepTo: begin + rest.length }
}

function cutOf(text: string): { readonly at: number; readonly shared: number } {
  const head = text.slice(0, MOST_UNITS)
  const paragraph = Math.max(endOf(head, '\n\n'), endOf(head, '\n\r\n'))
  // A piece of next to nothing would be judged out of context.
  const isLong = (at: number): boolean => at >= MOST_UNITS / 2
  if (isLong(paragraph)) return { at: paragraph, shared: 0 }
  const at = [endOf(head, '\n'), endOf(head, ' ')].find(isLong)
  return { at: at ?? beforePair(text, MOST_UNITS), shared: SHARED_UNITS }
}

const endOf = (text: string, mark: string): number => {
  const at = text.lastIndexOf(mark)
  return at === -1 ? 0 : at + mark.length
}

/** The same place, or the one before where it would part a surrogate pair. */
function beforePair(text: string, at: number): number {
  const isWithin = (text.codePointAt(at - 1) ?? 0) > 0xffff
  return isWithin ? at - 1 : at
}
