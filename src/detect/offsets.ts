/** The units that a caller may count a text in. */
export type OffsetUnit = 'utf16' | 'codepoint' | 'utf8'

/**
 * Where a place of `text`, in UTF-16 units, lies in another unit. A lone surrogate is one code point, and three bytes of
 * UTF-8: those of U+FFFD, which every encoder writes in its place. A place within a pair is that where the pair begins.
 */
export function createOffsets(text: string, unit: OffsetUnit): (utf16: number) => number {
  if (unit === 'utf16') return (utf16) => utf16
  const sizeOf = unit === 'utf8' ? utf8Bytes : () => 1
  const places = new Int32Array(text.length + 1)
  let place = 0
  let at = 0
  for (const character of text) {
    places.fill(place, at, at + character.length)
    place += sizeOf(character.codePointAt(0) ?? 0)
    at += character.length
  }
  places[at] = place
  return (utf16) => places[utf16] ?? place
}

function utf8Bytes(point: number): number {
  if (point < 0x80) return 1
  if (point < 0x800) return 2
  return point < 0x10000 ? 3 : 4
}
