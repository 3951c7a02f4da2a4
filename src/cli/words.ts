// Texts for a person's terminal. Much of what is shown came from a server or a file: none of it may move the
// cursor or turn the direction of writing.

/** Makes control characters and those of bidirectional formatting visible. */
export function printable(text: string): string {
  return text.replace(
    // eslint-disable-next-line no-control-regex -- they are what is looked for
    /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB']

/** `12.3 MiB`. */
export function bytesInWords(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  let value = bytes
  let unit = -1
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${value.toFixed(1)} ${UNITS[unit] ?? ''}`
}

/** `3,086,000`. */
export const grouped = (count: number): string => count.toLocaleString('en-US')

/** `1 file`, `2 files`. */
export const counted = (count: number, noun: string): string =>
  `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`

/** Columns padded to their widest cell, two spaces between them. */
export function table(rows: readonly (readonly string[])[]): string {
  const shown = rows.map((row) => row.map(printable))
  const widths: number[] = []
  for (const row of shown) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length)
    })
  }
  return shown
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Rows of a table under a heading in capitals. */
export const headed = (heading: readonly string[], rows: readonly (readonly string[])[]): string =>
  table([heading.map((cell) => cell.toUpperCase()), ...rows])
