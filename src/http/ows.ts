/**
 * Without the optional whitespace of RFC 9110 §5.6.3 (space and tab; `trim` would take more) at either end.
 * Linear in the text, which a caller controls.
 */
export function trimOws(text: string): string {
  let begin = 0
  let end = text.length
  while (begin < end && isOws(text[begin])) begin++
  while (begin < end && isOws(text[end - 1])) end--
  return text.slice(begin, end)
}

function isOws(character: string | undefined): boolean {
  return character === ' ' || character === '\t'
}
