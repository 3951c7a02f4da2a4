// Strings of the text protocols, which are written with escapes: a name that is put together from them is what they stand
// for.

/** STRING: a str of Python 2 as its repr() shows it. */
export const unquoted = (line: string): string =>
  line
    .trim()
    .replace(/^(['"])(.*)\1$/s, '$2')
    .replace(/\\x([\dA-Fa-f]{2})/g, (_, hex: string) => sign(parseInt(hex, 16)))
    .replace(/\\([0-7]{1,3})/g, (_, octal: string) => sign(parseInt(octal, 8)))

/** UNICODE: Python's raw-unicode-escape. */
export const unescaped = (line: string): string =>
  line
    .replace(/\\u([\dA-Fa-f]{4})/g, (_, hex: string) => sign(parseInt(hex, 16)))
    .replace(/\\U([\dA-Fa-f]{8})/g, (_, hex: string) => sign(parseInt(hex, 16)))

const sign = (code: number): string => (code <= 0x10_ffff ? String.fromCodePoint(code) : '\ufffd')
