import t from 'tap'
import { redact } from '../../src/detect/redact.ts'

const TEXT = 'Ann, ann@example.org 😀, Ben'
const SPANS = [
  { category: 'personal_name', start: 0, end: 3 },
  { category: 'email', start: 5, end: 20 },
  { category: 'personal_name', start: 25, end: 28 },
] as const

t.test('a span gives way to its category in brackets', async (t) => {
  t.equal(redact(TEXT, SPANS), '[PERSONAL_NAME], [EMAIL] 😀, [PERSONAL_NAME]')
})

t.test('a category has the label that it is given, the others theirs', async (t) => {
  t.equal(redact(TEXT, SPANS, { email: '✉' }), '[PERSONAL_NAME], ✉ 😀, [PERSONAL_NAME]')
  t.equal(redact(TEXT, SPANS, { personal_name: '', email: '$&' }), ', $& 😀, ')
})

t.test('without spans a text stays as it is', async (t) => {
  t.equal(redact('\ud800 😀', []), '\ud800 😀')
})

t.test('spans may touch, and be the whole text', async (t) => {
  t.equal(redact('ab', [{ category: 'phone', start: 0, end: 1 }, { category: 'address', start: 1, end: 2 }]), '[PHONE][ADDRESS]') // prettier-ignore
})
