import fc from 'fast-check'

/** What breaks readers of text: marks, joiners, NUL, bidi, spaces of all kinds, halves of pairs, folds that grow. */
const HARD = [
  ...Array.from(' \n\t\0\u00a0\u3000\u00ad\u200b\u200d\u202e\ufeff\u2581\u0301\u0345\u1e9e\u0130\ufdfa'),
  ...['\ud83d', '\ude00', '😀', '👩‍🚀', '🇩🇪', 'e\u0301', '½', 'ﬁ', 'Ａ', '東京', 'カ', '゙', 'ß', 'Σ'],
  ...['Ann', 'bank', "'s", '123', '(', ')', '@', '.com', '+49 30 ', '"', '-', '<s>', 'Street 5'],
] // prettier-ignore

/** Any string of UTF-16 units, lone surrogates among them, half of them made of what is hard. */
export const anyText = fc.oneof(
  fc.array(fc.constantFrom(...HARD), { maxLength: 40 }).map((parts) => parts.join('')),
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 })
    .map((units) => String.fromCharCode(...units)),
  fc
    .array(fc.integer({ min: 0, max: 0x10ffff }), { maxLength: 40 })
    .map((points) => String.fromCodePoint(...points)),
)
