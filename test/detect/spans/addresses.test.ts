import t from 'tap'
import { found } from './judged.ts'

const addresses = (marked: string, threshold?: number) => found('address', marked, threshold)

t.test('an address is whole: its lines, its unit, its brackets, its own full stop', async (t) => {
  for (const address of [
    '88 Tanner Street, Leicester LE1 9QX',
    'Residenzplatz 14\n97070 Würzburg',
    'Köchlinstraße 23, 88131 Lindau (Bodensee)',
    '2209 Guadalupe St., Apt 14, San Antonio, TX 78207',
    'Rúa Real 40, 2.º dcha.',
    'Cra. 7 No. 72-41 of. 903, Bogotá D. C.',
    '#27, 4th Cross, 6th Block, Bengaluru - 560099',
    '« Les Chênes », 240 route de Lectoure, 32500 Fleurance',
    '〒214-0865\n神奈川県川崎市多摩区西生田9-22-14\nメゾン・ド・ひなた 305号室',
    '大分県別府市荘園西8組の1',
    '二丁目八番一号',
    'BP 41, 62800 Liévin',
  ])
    t.strictSame(addresses(`An: ⟦${address}⟧; x`), [address])
})

t.test('what stands around an address is left out', async (t) => {
  for (const [marked, address] of [
    ['in ⟦12 Elm Road.⟧ Then', '12 Elm Road'],
    ['(⟦Am Wall 7, 28195 Bremen)⟧', 'Am Wall 7, 28195 Bremen'],
    ['住所：⟦、奈良市学園7丁目88番地。⟧', '奈良市学園7丁目88番地'],
  ] as const)
    t.strictSame(addresses(marked), [address], marked)
})

t.test('the parts of an address are one span across what separates them', async (t) => {
  t.strictSame(addresses('⟦Am Wall 7⟧,\n⟦28195 Bremen⟧'), ['Am Wall 7', '28195 Bremen'])
  // Inside, not beginnings: what the model says between them is none.
  const text = 'Am Wall 7 · 28195 Bremen'
  t.strictSame(addresses(`⟦${text}⟧`), [text])
})

t.test('a blank line is between two addresses', async (t) => {
  t.strictSame(addresses('⟦Am Wall 7\n\nElm Road 8⟧'), ['Am Wall 7', 'Elm Road 8'])
})

t.test('a quantity, a price, a date or a number of another kind is none', async (t) => {
  for (const marked of [
    '⟦12 kg⟧',
    '⟦€ 49,90⟧',
    '⟦1.240,00 EUR⟧',
    '⟦3 Stück⟧',
    '⟦25 %⟧',
    '⟦３個⟧',
    '⟦10.20.14.77⟧',
    'am ⟦2024-01-08⟧',
    'um ⟦14:05⟧',
    '⟦…⟧',
  ])
    t.strictSame(addresses(marked), [], marked)
})

t.test('a fragment, or what has no number, must be surer than an address', async (t) => {
  for (const fragment of ['Bremen', '7 C', 'Rose Cottage, Church Lane'])
    t.strictSame(
      [addresses(`⟦${fragment}⟧`, 0.9), addresses(`⟦${fragment}⟧`, 0.92)],
      [[fragment], []],
      fragment,
    )
})

t.test('a postcode alone is as sure as any address', async (t) => {
  for (const postcode of [
    '28195',
    'D-28195',
    '1140',
    'LE1 9QX',
    '650-0056',
    '〒799-3111',
    '６３１－００９９',
    'K1A 0B1',
    'H91 X0X0',
    '1012 AB',
  ])
    // prettier-ignore
    t.strictSame(addresses(`plz: ⟦${postcode}⟧ x`, 0.92), [postcode])
})
