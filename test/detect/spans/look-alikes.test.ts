import t from 'tap'
import { createLookAlikes, isMostlyWithin } from '../../../src/detect/spans/look-alikes.ts'

const lookAlikes = (text: string) =>
  createLookAlikes(text)().map(({ start, end }) => text.slice(start, end))

t.test('numbers with a shape of their own are known', async (t) => {
  for (const number of [
    '10.20.14.77',
    '10.0.0.0/8',
    '192.168.178.100:8080',
    '2024-01-08',
    '2024-01-08T02:41:07.123Z',
    '08.01.1987',
    '14:05:59',
    'DE89 3704 0044 0532 0130 00',
    'FR7630006000011234567890189',
    'ISBN 3-16-148410-X',
    '978-3-16-148410-0',
    '078-05-1120',
    '52.520008, 13.404954',
    '00:1b:44:11:3a:b7',
    '123e4567-e89b-12d3-a456-426614174000',
    '4111 1111 1111 1111',
    '378282246310005',
    '4006381333931',
  ])
    t.ok(lookAlikes(`x: ${number}, y`).includes(number), number)
})

t.test('telephone numbers are not among them', async (t) => {
  for (const number of [
    '02.61.91.07.70',
    '+49 171 3920055',
    '0049 171 3920055',
    '+4111 1111 1111 1111',
    '(843) 555-0102',
    '01632 960 551',
    '4111 1111 1111 1112',
    '4006381333930',
    '080-0412-7765',
    '3208175643',
    '0043660 5550118',
  ])
    t.strictSame(lookAlikes(`x: ${number}, y`), [], number)
})

t.test('a range is within a look-alike where more than half of it is', async (t) => {
  t.ok(isMostlyWithin({ start: 0, end: 4 }, [{ start: 1, end: 9 }]))
  t.notOk(isMostlyWithin({ start: 0, end: 4 }, [{ start: 2, end: 9 }]))
  t.notOk(isMostlyWithin({ start: 0, end: 4 }, []))
})

t.test('long runs of what they are made of are read in one go', async (t) => {
  for (const part of ['1', '1.', '1-', '1 ', '00:', 'A1', '4111 ', '1.1111,', 'ISBN 1'])
    t.ok(Array.isArray(lookAlikes(part.repeat(5000))), part)
})
