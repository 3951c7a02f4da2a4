import { isMostlyWithin, type LookAlikes } from './look-alikes.ts'
import { trimmed, type Range, type Refined } from './range.ts'

const EDGE = /[\s,;:|*=!?…、。，：；！？＝/\\_~&→•·–—+-]/u
/** Abbreviations whose full stop is the address's own, where it ends with one. */
const OWN_STOP =
  /(?:(?<![\p{L}\p{M}])\p{L}|\b(?:st|rd|ave|av|blvd|dr|ln|ct|pl|sq|hwy|apt|ste|str|pl|nr|no|izq|izda|dcha|der|ext|int|bl|esc|pta|ezk|of|dpto|bis|UU|Ags|Camp|Chih|Chis|Coah|Col|Dgo|Gro|Gto|Hgo|Jal|Méx|Mich|Mor|Nay|Oax|Pue|Qro|Sin|Son|Tab|Tamps|Tlax|Ver|Yuc|Zac))\.$/iu

const NUMBER = /[\p{N}一二三四五六七八九十百〇]/u
const LONE_POSTCODE =
  /^(?:〒?\s?\p{Nd}{3}[-－‐]\p{Nd}{4}|(?:[A-Z]{1,2}[- ])?\d{4,5}(?:-\d{3,4})?|[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|[A-Z]\d[A-Z] ?\d[A-Z]\d|\d{4} ?[A-Z]{2}|[A-Z]\d[\dW] ?[A-Z\d]{4})$/u
const FEWEST_CHARACTERS = 6
const FEWEST_LETTERS = 3
/** In Han and kana a place takes fewer characters: 北2-7. */
const DENSE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u

const CURRENCY = '[€$£¥￥]|EUR|USD|CHF|GBP|円'
const UNIT =
  '[%‰°]|kg|mg|g|t|km|cm|mm|m|m²|m2|qm|ml|cl|l|kWh?|W|V|A|M?Hz|GHz|[GMkT]B|px|h|min|s|ms|Uhr|Stück|Stk|pcs|uds?|unidades|pièces|個|本|枚|冊|名|人|件|台|回|分|時間|歳'
const AMOUNT = "\\p{Nd}[\\p{Nd}\\s.,’'×x/-]*"
/** A number with its unit or currency, and nothing else: 12 kg, € 49,90, 3 Stück, 25 %. */
const QUANTITY = new RegExp(
  `^(?:(?:${CURRENCY})\\s?${AMOUNT}|${AMOUNT}(?:${CURRENCY}|${UNIT})\\.?)$`,
  'iu',
)

/** What a number, a word or a fragment lacks to be a place; where a postcode stands alone, it is one. */
export function refineAddress(
  text: string,
  range: Range,
  lookAlikes: LookAlikes,
): Refined | undefined {
  const { start, end } = withoutSentenceStop(text, trimmed(text, range, EDGE))
  const address = text.slice(start, end)
  if (address === '') return undefined
  if (LONE_POSTCODE.test(address)) return { start, end, isDoubtful: false }
  if (QUANTITY.test(address) || isMostlyWithin({ start, end }, lookAlikes())) return undefined
  return { start, end, isDoubtful: isFragment(address) }
}

function withoutSentenceStop(text: string, { start, end }: Range): Range {
  const address = text.slice(start, end)
  if (!address.endsWith('.') || OWN_STOP.test(address.slice(-8))) return { start, end }
  return trimmed(text, { start, end: end - 1 }, EDGE)
}

function isFragment(address: string): boolean {
  if (!NUMBER.test(address)) return true
  if (DENSE.test(address)) return false
  const letters = address.match(/\p{L}/gu)?.length ?? 0
  return address.length < FEWEST_CHARACTERS || letters < FEWEST_LETTERS
}
