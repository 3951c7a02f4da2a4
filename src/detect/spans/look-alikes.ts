import type { Range } from './range.ts'

// Numbers that have a shape of their own, and so are neither telephone numbers nor addresses. Each expression takes time
// in proportion to the text: what it repeats is bounded or can't be read in two ways.

/** The text's look-alikes, found when they are first asked for. */
export type LookAlikes = () => readonly Range[]

const SHAPES: readonly RegExp[] = [
  // IPv4, with a mask or a port.
  /(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\/\d{1,2}|:\d{1,5})?(?![\d.]*\d)/g,
  // ISO 8601 dates, with or without a time.
  /(?<!\d)(?:19|20)\d\d-(?:0\d|1[0-2])-(?:[0-2]\d|3[01])(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?(?!\d)/g,
  // Dates with a year of four digits at their end, and a time after them.
  /(?<![\d./-])(?:[0-2]?\d|3[01])([./-])(?:[0-2]?\d|3[01])\1(?:19|20)\d\d(?!\d)(?:,? \d\d:\d\d(?::\d\d)?)?/g,
  /(?<![\d:])(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?(?![\d:])/g,
  // IBAN: a country, two digits, groups of four.
  /(?<![A-Za-z\d])[A-Z]{2}\d{2}(?: ?[A-Z\d]{4}){2,7}(?: ?[A-Z\d]{1,3})?(?![A-Za-z\d])/g,
  /(?<![A-Za-z\d])ISBN(?:-1[03])?:? ?[\d][\d -]{8,16}[\dX]/gi,
  /(?<![\d-])97[89][- ]?\d{1,5}[- ]?\d{1,7}[- ]?\d{1,7}[- ]?\d(?![\d-])/g,
  // United States social security numbers.
  /(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])/g,
  // Coordinates: two decimals of four or more places.
  /(?<![\d.])[+-]?\d{1,3}\.\d{4,15}°?\s?[NSEW]?\s?[,;/]?\s?[+-]?\d{1,3}\.\d{4,15}/g,
  /(?<!\d)\d{1,3}°\s?\d{1,2}[′'’]/g,
  // Groups of hexadecimal digits: MAC addresses, UUIDs.
  /(?<![\w:-])[\da-fA-F]{2}(?:[:-][\da-fA-F]{2}){5}(?![\w:-])/g,
  /(?<![\w-])[\da-fA-F]{8}-(?:[\da-fA-F]{4}-){3}[\da-fA-F]{12}(?![\w-])/g,
]

/** Digits in groups, as on a payment card. */
const CARD = /(?<![\d+-])[3-6]\d{3}(?:[ -]?\d{2,6}){2,4}(?![\d-])/g
/** The digits under an article's bar code; those that begin 00 could be dialled. */
const ARTICLE = /(?<![\d+-])(?!00)\d{13}(?![\d-])/g
/** The shortest that is a card and not the number of a telephone. */
const FEWEST_CARD_DIGITS = 13

export function createLookAlikes(text: string): LookAlikes {
  let found: Range[] | undefined
  return () => (found ??= findLookAlikes(text))
}

/** Does a look-alike cover more than half of the range? */
export function isMostlyWithin({ start, end }: Range, ranges: readonly Range[]): boolean {
  return ranges.some(
    (other) => 2 * (Math.min(end, other.end) - Math.max(start, other.start)) > end - start,
  )
}

function findLookAlikes(text: string): Range[] {
  const found = SHAPES.flatMap((shape) => Array.from(text.matchAll(shape), rangeOf))
  const cards = Array.from(text.matchAll(CARD)).filter(([card]) => isCardNumber(card))
  const articles = Array.from(text.matchAll(ARTICLE)).filter(([article]) => isArticle(article))
  return [...found, ...cards.map(rangeOf), ...articles.map(rangeOf)]
}

function rangeOf(match: RegExpExecArray): Range {
  return { start: match.index, end: match.index + match[0].length }
}

/** A GTIN-13's check digit (GS1 General Specifications, 7.9). */
function isArticle(digits: string): boolean {
  const sum = Array.from(digits, Number).reduce((all, d, i) => all + d * (i % 2 === 1 ? 3 : 1), 0)
  return sum % 10 === 0
}

/** Luhn's sum (ISO/IEC 7812-1, annex B). */
function isCardNumber(written: string): boolean {
  const digits = written.replace(/\D/g, '')
  if (digits.length < FEWEST_CARD_DIGITS || digits.length > 19) return false
  let sum = 0
  for (let i = 0; i < digits.length; i += 1) {
    const digit = Number(digits.at(-1 - i))
    const doubled = i % 2 === 1 ? digit * 2 : digit
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}
