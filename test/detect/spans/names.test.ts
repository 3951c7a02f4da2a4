import t from 'tap'
import { found } from './judged.ts'

const names = (marked: string) => found('personal_name', marked)

t.test('what stands beside a name is left out', async (t) => {
  for (const [marked, name] of [
    ['Ask ⟦Mr. Obi⟧ today', 'Obi'],
    ['⟦Frau Dr. Aslan⟧ kommt', 'Aslan'],
    ['chez ⟦Mme Tremblay,⟧ au 3e', 'Tremblay'],
    ['la ⟦Sra. Ledesma.⟧', 'Ledesma'],
    ['⟦Anna’s⟧ bike', 'Anna'],
    ["⟦James'⟧ bike", 'James'],
    ['he said ⟦"Siobhán"⟧ again', 'Siobhán'],
    ['dit ⟦« Lætitia »⟧ hier', 'Lætitia'],
    ['(⟦Steinbrecher) &⟧ Söhne', 'Steinbrecher'],
    ['met ⟦Dafydd.⟧', 'Dafydd'],
    ['⟦石橋様⟧へ', '石橋'],
    ['⟦ファティマさん⟧が', 'ファティマ'],
    ['受付⟦の上原⟧が', '上原'],
    ['弊社⟦本間の⟧都合', '本間'],
    ['⟦- Ileana⟧', 'Ileana'],
    ['Appelé M⟦. Oyono⟧ hier', 'Oyono'],
    ['⟦SR. D. IGNACIO PERAL⟧', 'IGNACIO PERAL'],
  ] as const)
    t.strictSame(names(marked), [name], marked)
})

t.test('what belongs to a name stays', async (t) => {
  for (const name of [
    'Arnold K.',
    'J. F. van der Meulen',
    'Sammy Davis Jr.',
    'Mª Luz Antuña Fdez.',
    'Lindqvist-Amara, Joris',
    'CASTRO BELLO, ONÉSIMO',
    'KOWALCZYK/AGNIESZKA',
    "N'Diaye, M.",
    'M. O’Sullivan',
    '"Fitz" Fitzgerald',
    'Leopold »Poldi« Winterhalder',
    'Wei Chen (Valentina)',
    'J0hn Fa1rweather',
    'ファティマ・ザフラ',
    'ジャン＝ピエール',
    '久保田 蓮',
    'ぐっさん',
    '林怡君',
    'Nguyễn Thị Mai',
    'mercedes',
  ])
    t.strictSame(names(`x: ⟦${name}⟧, y`), [name])
})

t.test('what has the signs of no name is none', async (t) => {
  for (const marked of [
    '⟦user_name⟧',
    'see ⟦/usr/anna/x⟧',
    '⟦name=Anna⟧',
    'from ⟦LX1234⟧',
    '⟦https://anna.example⟧',
    '@⟦anna⟧',
    '⟦J⟧ 4',
    '⟦--⟧',
    '⟦12⟧',
  ])
    t.strictSame(names(marked), [], marked)
})

t.test('a name ends with its line and with its column', async (t) => {
  t.strictSame(names('⟦Anna Berg\nCarl Dahl⟧'), ['Anna Berg', 'Carl Dahl'])
  t.strictSame(names('⟦Smith\tJoan⟧'), ['Smith', 'Joan'])
})

t.test('two names side by side are two where the second one begins', async (t) => {
  t.strictSame(names('⟦Anna Berg⟧ ⟦Carl Dahl⟧'), ['Anna Berg', 'Carl Dahl'])
})
