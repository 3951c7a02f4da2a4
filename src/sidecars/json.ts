// JSON as RFC 8259 has it, a byte at a time: whether it is valid, and nothing of what it says. A text of 32 MiB of
// brackets costs a counter.

import { Fault, type Reader } from './fault.ts'
import { createUtf8 } from './utf8.ts'

/** The most that serde_json reads, and with it the tokenizers library. */
export const MAX_DEPTH = 128

const [QUOTE, BACKSLASH, LOWER_U, COMMA, COLON] = [0x22, 0x5c, 0x75, 0x2c, 0x3a] as const
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d] as const
const [MINUS, PLUS, DOT, ZERO, NINE] = [0x2d, 0x2b, 0x2e, 0x30, 0x39] as const
const LOWER_E = 0x65
const CASE = 0x20

/** `"`, `\`, `/`, b, f, n, r, t: what stands behind a backslash by itself. */
const ESCAPES: ReadonlySet<number> = new Set(Buffer.from('"\\/bfnrt'))
const LITERALS: ReadonlyMap<number, Uint8Array> = new Map(
  ['true', 'false', 'null'].map((word) => [word.charCodeAt(0), Buffer.from(word)]),
)

const isSpace = (byte: number): boolean =>
  byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
const isDigit = (byte: number): boolean => byte >= ZERO && byte <= NINE
const isHex = (byte: number): boolean =>
  isDigit(byte) || ((byte | CASE) >= 0x61 && (byte | CASE) <= 0x66)

/** Takes one byte; false when the byte isn't of what it reads any more, and belongs to what follows. */
type State = (byte: number) => boolean

/** Judges one JSON text; keys may repeat. */
export function createJsonReader(): Reader {
  /** Which of the containers that are open are objects. */
  const isObject = new Uint8Array(MAX_DEPTH)
  const utf8 = createUtf8()
  let depth = 0
  let position = 0
  let state: State = value
  let isKey = false
  let hexDigits = 0
  let literal = new Uint8Array(0)
  let matched = 0

  const fail = (sentence: string): never => {
    throw new Fault(position, sentence)
  }

  function value(byte: number): boolean {
    if (isSpace(byte)) return true
    if (byte === QUOTE) openString('value')
    else if (byte === OPEN_BRACE) open(1, keyOrEnd)
    else if (byte === OPEN_BRACKET) open(0, itemOrEnd)
    else if (byte === MINUS) state = minus
    else if (isDigit(byte)) state = byte === ZERO ? zero : integer
    else openLiteral(byte)
    return true
  }

  function open(kind: 0 | 1, inside: State): void {
    if (depth === MAX_DEPTH) fail(`it is nested more than ${MAX_DEPTH} deep`)
    isObject[depth] = kind
    depth += 1
    state = inside
  }

  function close(): void {
    depth -= 1
    state = afterValue
  }

  function itemOrEnd(byte: number): boolean {
    if (byte !== CLOSE_BRACKET) return value(byte)
    close()
    return true
  }

  function keyOrEnd(byte: number): boolean {
    if (byte !== CLOSE_BRACE) return key(byte)
    close()
    return true
  }

  function key(byte: number): boolean {
    if (isSpace(byte)) return true
    if (byte !== QUOTE) fail('a key is expected')
    openString('key')
    return true
  }

  function colon(byte: number): boolean {
    if (isSpace(byte)) return true
    if (byte !== COLON) fail('a colon is expected')
    state = value
    return true
  }

  function afterValue(byte: number): boolean {
    if (isSpace(byte)) return true
    if (depth === 0) fail('something follows the value')
    const inObject = isObject[depth - 1] === 1
    if (byte === COMMA) state = inObject ? key : value
    else if (byte === (inObject ? CLOSE_BRACE : CLOSE_BRACKET)) close()
    else fail(`a comma or ${inObject ? '}' : ']'} is expected`)
    return true
  }

  function openString(as: 'key' | 'value'): void {
    isKey = as === 'key'
    state = string
  }

  function string(byte: number): boolean {
    if (byte === QUOTE) state = isKey ? colon : afterValue
    else if (byte === BACKSLASH) state = escape
    else if (byte < 0x20) fail('a control character stands in a string as it is')
    return true
  }

  function escape(byte: number): boolean {
    if (byte === LOWER_U) {
      hexDigits = 0
      state = hex
    } else if (ESCAPES.has(byte)) state = string
    else fail('there is no such escape')
    return true
  }

  function hex(byte: number): boolean {
    if (!isHex(byte)) fail('an escape wants four hex digits')
    hexDigits += 1
    if (hexDigits === 4) state = string
    return true
  }

  function openLiteral(byte: number): void {
    literal = Uint8Array.from(LITERALS.get(byte) ?? fail('a value is expected'))
    matched = 1
    state = rest
  }

  function rest(byte: number): boolean {
    if (byte !== literal[matched]) fail('a value is expected')
    matched += 1
    if (matched === literal.length) state = afterValue
    return true
  }

  function minus(byte: number): boolean {
    if (!isDigit(byte)) fail('a digit is expected')
    state = byte === ZERO ? zero : integer
    return true
  }

  function zero(byte: number): boolean {
    return fractionOrExponent(byte)
  }

  function integer(byte: number): boolean {
    return isDigit(byte) || fractionOrExponent(byte)
  }

  function fractionOrExponent(byte: number): boolean {
    if (byte !== DOT) return exponentOrEnd(byte)
    state = firstDecimal
    return true
  }

  function firstDecimal(byte: number): boolean {
    if (!isDigit(byte)) fail('a digit is expected')
    state = decimals
    return true
  }

  function decimals(byte: number): boolean {
    return isDigit(byte) || exponentOrEnd(byte)
  }

  function exponentOrEnd(byte: number): boolean {
    if ((byte | CASE) === LOWER_E) {
      state = sign
      return true
    }
    state = afterValue
    return false
  }

  function sign(byte: number): boolean {
    if (byte === PLUS || byte === MINUS) {
      state = firstOfExponent
      return true
    }
    return firstOfExponent(byte)
  }

  function firstOfExponent(byte: number): boolean {
    if (!isDigit(byte)) fail('a digit is expected')
    state = exponent
    return true
  }

  function exponent(byte: number): boolean {
    if (isDigit(byte)) return true
    state = afterValue
    return false
  }

  /** Where a number may end. */
  const numberEnds: ReadonlySet<State> = new Set([zero, integer, decimals, exponent])

  return {
    write(bytes) {
      // Outside of strings the grammar has ASCII only.
      const notUtf8 = utf8.read(bytes)
      const start = position
      const good = notUtf8 === -1 ? bytes : bytes.subarray(0, notUtf8)
      for (let i = 0; i < good.length;) {
        if (state === string) i = skipPlain(good, i)
        position = start + i
        if (i < good.length && state(good[i] ?? 0)) i += 1
      }
      position = start + good.length
      if (notUtf8 !== -1) fail('a byte is not UTF-8')
    },
    end() {
      const isOver = depth === 0 && (state === afterValue || numberEnds.has(state))
      if (!isOver) fail('it ends too early')
    },
  }
}

/** What stands in a string for itself, which is nearly all of every file; returns how far it goes. */
function skipPlain(bytes: Uint8Array, from: number): number {
  let i = from
  for (; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0
    if (byte < 0x20 || byte === QUOTE || byte === BACKSLASH) break
  }
  return i
}
