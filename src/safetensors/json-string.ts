// One JSON string, a byte at a time: strict UTF-8 (RFC 3629: no overlong form, no surrogate), strict escapes
// (RFC 8259), no lone surrogate even when escaped. The result is the unescaped string in UTF-8.

import { grow, growable } from './growable.ts'

/** Throws a refusal at the byte being read. */
type Refuse = (reason: 'header_not_utf8' | 'header_not_json', sentence: string) => never

export interface StringReader {
  /** The opening quote was read; `limit` is the most bytes that the unescaped string may have. */
  open(limit: number): void
  /** Reads on from `from`; returns where it stopped: at the end of the chunk, or after the closing quote. */
  read(chunk: Uint8Array, from: number, to: number): number
  /** Whether the closing quote is still to come. */
  readonly isOpen: boolean
  readonly bytes: Uint8Array
  readonly length: number
  /** Whether a control character (C0, DEL or C1), escaped or not, is among it. */
  readonly hasControl: boolean
  text(): string
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const LOWER_U = 0x75

// What the next byte is.
const PLAIN = 0
const CONTINUATION = 1
const ESCAPE = 2
const HEX = 3
const LOW_BACKSLASH = 4
const LOW_U = 5
const LOW_HEX = 6

/** What the byte after a backslash stands for; `u` isn't here. */
const ESCAPES: ReadonlyMap<number, number> = new Map([
  [QUOTE, QUOTE],
  [BACKSLASH, BACKSLASH],
  [0x2f, 0x2f],
  [0x62, 0x08],
  [0x66, 0x0c],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
])

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * A reader of strings of at most `maxBytes`, one after the other. `refuse` and `tooLong` throw;
 * `at` is told the index in the chunk of the byte at which they do.
 */
export function createStringReader(
  maxBytes: number,
  refuse: Refuse,
  tooLong: () => never,
  at: (index: number) => void,
): StringReader {
  const bytes = new Uint8Array(growable(maxBytes))
  let isOpen = false
  let limit = 0
  let length = 0
  let hasControl = false
  let expect = PLAIN
  // Of a multi-byte character: continuation bytes to come, the range of the next one, the lead byte.
  let more = 0
  let lowest = 0x80
  let highest = 0xbf
  let lead = 0
  // Of a \u escape: hex digits so far, their value, and the high surrogate before it.
  let digits = 0
  let unit = 0
  let high = 0

  function push(byte: number) {
    if (length === limit) tooLong()
    grow(bytes.buffer, length + 1)
    bytes[length] = byte
    length += 1
  }

  function pushCodePoint(point: number) {
    if (isControl(point)) hasControl = true
    if (point < 0x80) {
      push(point)
      return
    }
    if (point < 0x800) push(0xc0 | (point >> 6))
    else {
      if (point < 0x10000) push(0xe0 | (point >> 12))
      else {
        push(0xf0 | (point >> 18))
        push(0x80 | ((point >> 12) & 0x3f))
      }
      push(0x80 | ((point >> 6) & 0x3f))
    }
    push(0x80 | (point & 0x3f))
  }

  /** RFC 3629, section 4: which bytes may lead, and what may follow each. */
  function leadByte(byte: number) {
    if (byte < 0xc2 || byte > 0xf4) refuse('header_not_utf8', 'a byte of the header is not UTF-8')
    more = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3
    lowest = byte === 0xe0 ? 0xa0 : byte === 0xf0 ? 0x90 : 0x80
    highest = byte === 0xed ? 0x9f : byte === 0xf4 ? 0x8f : 0xbf
    lead = byte
    expect = CONTINUATION
    push(byte)
  }

  function continuation(byte: number) {
    if (byte < lowest || byte > highest)
      refuse('header_not_utf8', 'a character of the header is not UTF-8')
    if (lead === 0xc2 && byte < 0xa0) hasControl = true
    lowest = 0x80
    highest = 0xbf
    lead = 0
    more -= 1
    if (more === 0) expect = PLAIN
    push(byte)
  }

  function escape(byte: number) {
    if (byte === LOWER_U) {
      startHex(HEX)
      return
    }
    const stands = ESCAPES.get(byte)
    if (stands === undefined) return refuse('header_not_json', 'no such escape in JSON')
    pushCodePoint(stands)
    expect = PLAIN
  }

  function startHex(kind: typeof HEX | typeof LOW_HEX) {
    digits = 0
    unit = 0
    expect = kind
  }

  function hexDigit(byte: number) {
    const value = hexValue(byte)
    if (value === undefined) return refuse('header_not_json', 'an escape wants four hex digits')
    unit = unit * 16 + value
    digits += 1
    if (digits < 4) return
    const isLow = unit >= 0xdc00 && unit <= 0xdfff
    if (expect === LOW_HEX) {
      if (!isLow) refuse('header_not_utf8', 'a surrogate stands alone')
      pushCodePoint(0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00))
      expect = PLAIN
    } else if (isLow) refuse('header_not_utf8', 'a surrogate stands alone')
    else if (unit >= 0xd800 && unit <= 0xdbff) {
      high = unit
      expect = LOW_BACKSLASH
    } else {
      pushCodePoint(unit)
      expect = PLAIN
    }
  }

  function plain(byte: number) {
    if (byte === QUOTE) isOpen = false
    else if (byte === BACKSLASH) expect = ESCAPE
    else if (byte < 0x20)
      refuse('header_not_json', 'a control character stands in a string as it is')
    else if (byte >= 0x80) leadByte(byte)
    else {
      if (byte === 0x7f) hasControl = true
      push(byte)
    }
  }

  function step(byte: number) {
    switch (expect) {
      case PLAIN:
        plain(byte)
        break
      case CONTINUATION:
        continuation(byte)
        break
      case ESCAPE:
        escape(byte)
        break
      case LOW_BACKSLASH:
        if (byte !== BACKSLASH) refuse('header_not_utf8', 'a surrogate stands alone')
        expect = LOW_U
        break
      case LOW_U:
        if (byte !== LOWER_U) refuse('header_not_utf8', 'a surrogate stands alone')
        startHex(LOW_HEX)
        break
      default:
        hexDigit(byte)
    }
  }

  /** Copies printable ASCII, which is nearly all of every header, as far as it and the room go. */
  function readAscii(chunk: Uint8Array, from: number, to: number): number {
    const stop = Math.min(to, from + Math.min(limit, bytes.length) - length)
    let i = from
    let n = length
    for (; i < stop; i += 1) {
      const byte = chunk[i] ?? 0
      if (byte < 0x20 || byte > 0x7e || byte === QUOTE || byte === BACKSLASH) break
      bytes[n] = byte
      n += 1
    }
    length = n
    return i
  }

  return {
    bytes,
    get isOpen() {
      return isOpen
    },
    get length() {
      return length
    },
    get hasControl() {
      return hasControl
    },
    open(most) {
      isOpen = true
      limit = most
      length = 0
      hasControl = false
      expect = PLAIN
    },
    read(chunk, from, to) {
      let i = from
      while (isOpen && i < to) {
        if (expect === PLAIN) i = readAscii(chunk, i, to)
        if (i === to) break
        at(i)
        step(chunk[i] ?? 0)
        i += 1
      }
      return i
    },
    text: () => utf8.decode(bytes.subarray(0, length)),
  }
}

function isControl(point: number): boolean {
  return point < 0x20 || (point >= 0x7f && point < 0xa0)
}

function hexValue(byte: number): number | undefined {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : undefined
}
