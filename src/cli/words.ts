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

/** Four digits, and `-` for what there isn't. */
export const numberInWords = (value: number | null): string =>
  value === null ? '-' : Number(value.toPrecision(4)).toString()

/** `[768, 512]`; `[]` for a scalar. */
export const shapeInWords = (shape: readonly number[]): string => `[${shape.join(', ')}]`

/** `1 file`, `2 files`. */
export const counted = (count: number, noun: string): string =>
  `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`

/** Columns padded to their widest cell, two spaces between them. */
export const table = (rows: readonly (readonly string[])[]): string => tableInParts()(rows)

/** Formats a table whose rows come in parts: a column is as wide as its widest cell so far. */
export function tableInParts(): (rows: readonly (readonly string[])[]) => string {
  const widths: number[] = []
  return (rows) => {
    const shown = rows.map((row) => row.map(printable))
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
}

const upper = (heading: readonly string[]): readonly string[] =>
  heading.map((cell) => cell.toUpperCase())

/** Rows of a table under a heading in capitals. */
export const headed = (heading: readonly string[], rows: readonly (readonly string[])[]): string =>
  table([upper(heading), ...rows])

/** Says rows as they come, a batch at a time, under a heading in capitals; without rows, nothing. */
export function createRows(
  say: (lines: string) => void,
  heading: readonly string[],
): { readonly add: (row: readonly string[]) => void; readonly end: () => void } {
  const inWords = tableInParts()
  let rows: (readonly string[])[] = [upper(heading)]
  let isBegun = false
  const flush = (): void => {
    if (rows.length > (isBegun ? 0 : 1)) say(inWords(rows))
    isBegun = true
    rows = []
  }
  return {
    add: (row) => {
      rows.push(row)
      if (rows.length >= ROWS_A_BATCH) flush()
    },
    end: flush,
  }
}

const ROWS_A_BATCH = 1000
