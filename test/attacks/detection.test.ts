import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'

// The detector that ships, on a real server: what is written to break it, to blind it or to have it answer for another.

const UNITS = ['utf16', 'codepoint', 'utf8'] as const

/** Found in every text of which it is a part of its own, whatever stands before it. */
const EMAIL = 'aisha.okonkwo@example.org'

const HOSTILE: Readonly<Record<string, string>> = {
  'lone surrogates': '\ud83d \udc00\ud83d ab\udfff'.repeat(40),
  NUL: 'a\0b\0'.repeat(200),
  bidi: '\u202e\u2066\u200f\u202a'.repeat(200),
  'zero width': '\u200b\u200c\u200d\u2060\ufeff'.repeat(200),
  'combining marks': `a${'\u0301'.repeat(4_900)}`,
  'one word': 'x'.repeat(4_900),
  'one word of Japanese': '東'.repeat(1_000),
  emoji: '👩‍🚀🇩🇪😀'.repeat(200),
  'spaces of all kinds': ' \t\r\n\v\f\u00a0\u2003\u3000\u2028\u2029'.repeat(150),
  'what grows when it is folded': '\ufdfa\ufb03ﬁ½Å'.repeat(400),
  'the tokenizer’s own signs': '<s></s><unk><pad>▁▁'.repeat(150),
  'what addresses are made of': `${'a.'.repeat(1_000)}@${'b-'.repeat(1_000)}`,
  ats: '@'.repeat(1_000),
  digits: '020 7946 '.repeat(200),
  quotes: `${'"(['.repeat(300)}x${'])"'.repeat(300)}`,
}

t.test('hostile texts', async (t) => {
  const server = await startServer(t, { STRONGROOM_DETECTOR: 'strongroom/pii@production' })
  await t.resolves(untilReady(), 'the shipped detector serves')

  async function untilReady(): Promise<void> {
    while ((await server.request('/readyz')).status !== 200)
      await new Promise((resolve) => setTimeout(resolve, 20))
  }

  async function detect(body: object): Promise<Answer> {
    const response = await server.request('/detect', {
      method: 'POST',
      token: ADMIN,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`)
    return (await response.json()) as Answer
  }

  await t.test('are answered, and an address behind them is found whole', async (t) => {
    for (const [i, [name, hostile]] of Object.entries(HOSTILE).entries()) {
      const unit = UNITS[i % UNITS.length] ?? 'utf16'
      const text = `${hostile}\n\n${EMAIL}`
      const { pii_spans: spans } = await detect({ text, offset_encoding: unit })
      const last = spans.at(-1)
      t.strictSame([last?.category, last?.end], ['email', lengthIn(text, unit)], name)
      t.equal((last?.end ?? 0) - (last?.start ?? 0), EMAIL.length, name)
    }
  })

  await t.test('lend nothing to the texts that they share a request with', async (t) => {
    const plain = 'Please call Aisha Okonkwo on 020 7946 0958.'
    const alone = await detect({ text: plain })
    const texts = Object.values(HOSTILE).flatMap((hostile) => [hostile.slice(0, 300), plain])
    const { results } = await detect({ texts })
    for (const [i, { pii_spans: spans }] of results.entries())
      if (i % 2 === 1) t.strictSame(spans, alone.pii_spans)
  })

  await t.test('hundreds of callers at once are each told of their own text', async (t) => {
    const emails = Array.from({ length: 200 }, (_, i) => `person${i}@example.org`)
    const found = await Promise.all(
      emails.map(async (email, i) => {
        const text = `${'Nothing to see here. '.repeat(i % 4)}${email}`
        const { pii_spans: spans } = await detect({ text })
        return text.slice(spans[0]?.start, spans[0]?.end)
      }),
    )
    t.strictSame(found, emails)
  })
})

interface Answer {
  readonly pii_spans: readonly { category: string; start: number; end: number }[]
  readonly results: readonly Answer[]
}

function lengthIn(text: string, unit: (typeof UNITS)[number]): number {
  if (unit === 'utf16') return text.length
  if (unit === 'utf8') return Buffer.byteLength(text)
  return Array.from(text).length
}
