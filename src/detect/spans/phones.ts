import { parsePhoneNumberFromString, type CountryCode } from 'libphonenumber-js/min'
import { isMostlyWithin, type LookAlikes } from './look-alikes.ts'
import { trimmed, type Range, type Refined } from './range.ts'

// The rules take the library's smallest metadata, which knows the lengths of every country's numbers: the fuller ones
// cost twice the memory and refuse numbers of ranges that aren't given out (yet).

const EDGE = /[\s,;:.|*=!?…、。，．：；！？＝/\\_~&→•·#'"–—-]/u
const LABELS =
  'tel(?:efono|éfono|efon|ephone)?|tél(?:éphone)?|tfno|phone|ph|mob(?:ile|il)?|m[óo]vil|handy|natel|gsm|cel(?:l|ular)?|fax|電話(?:番号)?|携帯(?:電話)?|ＴＥＬ|ＦＡＸ'
const LABEL = new RegExp(`^(?:${LABELS})[.:：\\s]*`, 'iu')
/** The end of the field before, where a piece of the vocabulary holds it together with the number: 4500,021 555 0177. */
const FIELD_BEFORE = /^\p{Nd}{1,5},(?=[\p{Nd}+(])/u
/** What leads to somebody behind the number, and the brackets that may be around it. */
const EXTENSION =
  /[\s,;/(（・-]*(?:(?<!\p{L})(?:ext(?:ension|ensión)?|durchwahl|dw|nebenst(?:elle)?|apparat|app|poste|interno|interne|int|anexo|ramal)(?!\p{L})|(?<=[\d\s])x(?=\s?\d)|内線|#)[.:：\s]*\p{Nd}{0,6}[)）]?$/iu
/** How far a number may reach beyond what was found of it, and how long an extension is with its word. */
const REACH = 40
const DIGITS = /[\p{Nd}〇一二三四五六七八九]/gu
const DIGIT = /\p{Nd}/u
const FEWEST_DIGITS = 6
const FEW_DIGITS = 8
/** 15 of E.164, and the 00 before them. */
const MOST_DIGITS = 17
/** A number read out: words for its digits, this many of them at least. */
const NUMBER_WORD =
  /(?<!\p{L})(?:null|eins|zwei|zwo|drei|vier|fünf|sechs|sieben|acht|neun|oh|zero|one|two|three|four|five|six|seven|eight|nine|double|zéro|un|deux|trois|quatre|cinq|sept|huit|neuf|cero|uno|dos|tres|cuatro|cinco|seis|siete|ocho|nueve)(?!\p{L})/giu
const FEWEST_NUMBER_WORDS = 3
/** Part of an identifier (LM5570-0093-22, 5570dn, id_55501234), unless the letters are a label or an escape: Fax0341…, \\t0341… */
const IDENTIFIER_BEFORE = /[\p{Script=Latin}_][\p{Script=Latin}\p{Nd}_]{0,11}-?$|\p{Nd}\.$/u
const LABEL_BEFORE = new RegExp(`(?:(?<![\\p{L}_])(?:${LABELS})|\\\\[nrt])$`, 'iu')
const IDENTIFIER_AFTER = /^(?:[\p{Script=Latin}_]|-[\p{Script=Latin}]{2})/u
/** A year with a number of its own (2024-0418), a month with its year (09/2019), a short date, a decimal, half a coordinate; money. */
const NO_PHONE =
  /^(?:(?:19|20)\d\d ?[-–/.] ?\d{1,6}|\d{1,2} ?[-/.] ?(?:19|20)?\d\d|\d{1,2}([-/.])\d{1,2}\1\d\d|[+-]?\d{1,3}\.\d{3,})$|[€$£¥￥%円]/u
/** What names an article, a reference, a firm: not what a number that one calls goes by. */
const REFERENCE_BEFORE =
  /(?:#|№|(?<!\p{L})(?:EAN|GTIN|ISBN|ISSN|SKU|PZN|ASIN|DOI|SIREN|SIRET|NIF|CIF|NIE|VAT|UID|IK|BIC|ID|Az|Ref|Réf|TRN|PNR|CHF)[.:]?)\s*$/iu
const MONEY_BEFORE = /[€$£¥￥]\s?$/u
const UNIT_AFTER = /^\s?(?:[€$£¥%‰°]|(?:EUR|USD|CHF|GBP|JPY|kg|km|ml|kWh)(?!\p{L})|円)/u
/** Where the five languages are spoken, the likeliest first. */
const COUNTRIES = ['US', 'DE', 'FR', 'ES', 'JP', 'GB', 'MX', 'AT', 'CH', 'BE', 'CO', 'AR', 'CL', 'PE', 'AU', 'IE', 'IN', 'NG', 'ZA', 'MA'] as const satisfies readonly CountryCode[] // prettier-ignore

export function refinePhone(
  text: string,
  range: Range,
  lookAlikes: LookAlikes,
): Refined | undefined {
  const phone = boundsOf(text, range)
  const written = text.slice(phone.start, phone.end)
  if (isReadOut(written)) return { ...phone, isDoubtful: false }
  if (!isNumber(written) || NO_PHONE.test(written) || isPartOfMore(text, phone)) return undefined
  if (isMostlyWithin(phone, lookAlikes())) return undefined
  return { ...phone, isDoubtful: isDoubtful(text, phone) || !isPossible(written) }
}

/** The range, to the ends of the digits that it cuts, without labels and extensions. */
function boundsOf(text: string, range: Range): Range {
  const inner = trimmed(text, range, EDGE)
  const found = text.slice(inner.start, inner.end)
  const before = (LABEL.exec(found) ?? FIELD_BEFORE.exec(found))?.[0] ?? ''
  const whole = extended(text, { start: inner.start + before.length, end: inner.end })
  const ending = text.slice(Math.max(whole.start, whole.end - REACH), whole.end)
  const extension = EXTENSION.exec(ending)?.[0] ?? ''
  return trimmed(text, { start: whole.start, end: whole.end - extension.length }, EDGE)
}

function extended(text: string, range: Range): Range {
  let { start, end } = range
  if (!DIGIT.test(text.slice(start, end))) return range
  while (end < range.end + REACH && isDigitNext(text, end, 1)) end += 1
  while (start > range.start - REACH && isDigitNext(text, start - 1, -1)) start -= 1
  if (/[+＋]/.test(text.charAt(start - 1))) start -= 1
  // (030 …) is the sentence's bracket; that of (030) … is the number's.
  const inner = text.slice(start, end)
  if (/^[^(（]*[)）]/.test(inner) && /[(（]/.test(text.charAt(start - 1))) start -= 1
  return { start, end }
}

/** Is there a digit at `at`, or one after a separator there? */
function isDigitNext(text: string, at: number, step: 1 | -1): boolean {
  const character = text.charAt(at)
  if (DIGIT.test(character)) return true
  return /[-./‐－−]/.test(character) && DIGIT.test(text.charAt(at + step))
}

function isReadOut(written: string): boolean {
  return (written.match(NUMBER_WORD)?.length ?? 0) >= FEWEST_NUMBER_WORDS
}

function isNumber(written: string): boolean {
  const digits = written.match(DIGITS)?.length ?? 0
  return digits >= FEWEST_DIGITS && digits <= MOST_DIGITS
}

/** Few numbers have so few digits, and what is named as a reference seldom is one. */
function isDoubtful(text: string, { start, end }: Range): boolean {
  const digits = text.slice(start, end).match(DIGITS)?.length ?? 0
  return digits < FEW_DIGITS || REFERENCE_BEFORE.test(text.slice(Math.max(0, start - 8), start))
}

/** An identifier's middle, a price, a quantity. */
function isPartOfMore(text: string, { start, end }: Range): boolean {
  const before = text.slice(Math.max(0, start - 13), start)
  const after = text.slice(end, end + 6)
  return (
    (IDENTIFIER_BEFORE.test(before) && !LABEL_BEFORE.test(before)) ||
    IDENTIFIER_AFTER.test(after) ||
    MONEY_BEFORE.test(before) ||
    UNIT_AFTER.test(after)
  )
}

/** Could it be dialled, as its length goes, in a country of the five languages? */
function isPossible(written: string): boolean {
  const number = written.normalize('NFKC').replace(/^\(\+/, '+(').replace(/^00/, '+')
  const countries = number.startsWith('+') ? COUNTRIES.slice(0, 1) : COUNTRIES
  return countries.some((defaultCountry) =>
    parsePhoneNumberFromString(number, { defaultCountry, extract: false })?.isPossible(),
  )
}
