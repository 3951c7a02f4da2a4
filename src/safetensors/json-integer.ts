// A non-negative integer in JSON, a byte at a time, up to 2^53 − 1 and spelt as one: no sign, no fraction,
// no exponent, since readers differ in what they make of those.

/** `end`: this byte isn't of the number any more. The others are ways to be wrong. */
type Digit = 'more' | 'end' | 'not_json' | 'not_integer' | 'too_large'

export interface IntegerReader {
  readonly value: number
  /** The first byte of a value. */
  open(byte: number): Digit
  next(byte: number): Digit
}

const ZERO = 0x30
const NINE = 0x39
const MAX_TENTH = Math.floor(Number.MAX_SAFE_INTEGER / 10)
const MAX_LAST = Number.MAX_SAFE_INTEGER % 10

/** Bytes that go on with a number that isn't an integer: `.`, `E`, `e`. */
const FRACTIONAL: ReadonlySet<number> = new Set([0x2e, 0x45, 0x65])

export function createIntegerReader(): IntegerReader {
  let value = 0
  let isZero = false
  return {
    get value() {
      return value
    },
    open(byte) {
      if (byte < ZERO || byte > NINE) return 'not_integer'
      value = byte - ZERO
      isZero = value === 0
      return 'more'
    },
    next(byte) {
      if (FRACTIONAL.has(byte)) return 'not_integer'
      if (byte < ZERO || byte > NINE) return 'end'
      if (isZero) return 'not_json'
      const digit = byte - ZERO
      if (value > MAX_TENTH || (value === MAX_TENTH && digit > MAX_LAST)) return 'too_large'
      value = value * 10 + digit
      return 'more'
    },
  }
}
