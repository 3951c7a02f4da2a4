import t from 'tap'
import { found } from './judged.ts'

const phones = (marked: string, threshold?: number) => found('phone', marked, threshold)

t.test('telephone numbers are found as people write them', async (t) => {
  for (const phone of [
    '07700 900418',
    '+44 (0)1632 960 551',
    '(843) 555-0102',
    '0381-5550 417',
    '04932 / 55501',
    '0152.5550.4470',
    '0049-171-3920055',
    '+41 76 555 04 71',
    '06 39 98 55 08',
    '02.61.91.07.70',
    '04/384.22.17',
    '+34 958 73 60 12',
    '56968203571',
    '080-0412-7765',
    '０９０－０８６６－４４１２',
    '（０５５）０１１－２２７８',
    '+81 3 0199 7610',
  ])
    t.strictSame(phones(`x: ⟦${phone}⟧, y`, 0.92), [phone])
})

t.test('a number that a piece cuts is whole again', async (t) => {
  for (const [marked, phone] of [
    ['Tel. 04⟦91-5550118⟧', '0491-5550118'],
    ['Tel. +⟦49 171 39200⟧55.', '+49 171 3920055'],
    ['call (⟦843) 555-01⟧02', '(843) 555-0102'],
    ['5 Kauri Lane,4500⟦,021 555 0177⟧,x', '021 555 0177'],
  ] as const)
    t.strictSame(phones(marked), [phone], marked)
})

t.test('labels, extensions and brackets are left out', async (t) => {
  for (const [marked, phone] of [
    ['⟦0161 496 0327 ext. 218⟧.', '0161 496 0327'],
    ['⟦020 7946 0571 x12⟧', '020 7946 0571'],
    ['⟦0381 5550417, Durchwahl 12⟧', '0381 5550417'],
    ['⟦514 555-0188, poste 4⟧', '514 555-0188'],
    ['⟦03-0123-8841（内線12）⟧', '03-0123-8841'],
    ['⟦Tel.: 0931 5550118⟧', '0931 5550118'],
    ['⟦電話：028-099-0166⟧', '028-099-0166'],
    ['FAX⟦0852-000-4421⟧', '0852-000-4421'],
    ['(⟦+41 (0) 52 555 01 82)⟧', '+41 (0) 52 555 01 82'],
    ['"⟦06 39 98 55 08"⟧', '06 39 98 55 08'],
  ] as const)
    t.strictSame(phones(marked), [phone], marked)
})

t.test('a number that is read out is one', async (t) => {
  for (const phone of [
    'oh one six three two, nine six oh, five double seven',
    'null neun vier zwo eins, fünf fünf fünf, null eins sieben',
    'seis siete cero, dieciocho, veintidós, cero nueve',
    'zéro un, 99 00, 34 12',
  ])
    t.strictSame(phones(`x: ⟦${phone}⟧.`), [phone])
})

t.test('numbers of other kinds are none', async (t) => {
  for (const marked of [
    'host ⟦10.20.14.77⟧',
    '⟦192.168.178.100:8080⟧',
    'am ⟦2024-01-08⟧',
    'le ⟦08/01/1987 10:30⟧',
    '⟦02.09.24⟧',
    'seit ⟦09/2019⟧',
    'Rechnung ⟦2023-0418⟧',
    'card ⟦4111 1111 1111 1111⟧',
    'SSN ⟦078-05-1120⟧',
    'IBAN DE⟦89 3704 0044 0532 0130 00⟧',
    'ISBN ⟦978-3-16-148410-0⟧',
    'EAN ⟦4006381333931⟧',
    'at ⟦52.520008, 13.404954⟧',
    '"lat":⟦47.4210⟧',
    'serial LM⟦5570-0093-22⟧',
    '⟦5570123⟧dn',
    'id_⟦55501234⟧',
    '£⟦124000000⟧',
    '⟦124000000⟧ EUR',
    '⟦1 240 000 円⟧',
    'x ⟦12345⟧ y',
    '⟦123456789012345678⟧',
    '⟦call me⟧',
  ])
    t.strictSame(phones(marked), [], marked)
})

t.test('what no country dials, few digits and references must be surer', async (t) => {
  for (const [marked, phone] of [
    ['ring ⟦555 018⟧', '555 018'],
    ['Ticket #⟦6055 501 77⟧', '6055 501 77'],
    ['PZN ⟦01234567⟧', '01234567'],
    ['⟦+999 1 555 0163⟧', '+999 1 555 0163'],
  ] as const)
    t.strictSame([phones(marked, 0.9), phones(marked, 0.92)], [[phone], []], marked)
})
