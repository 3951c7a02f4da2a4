import fc from 'fast-check'
import t from 'tap'
import { findEmails } from '../../../src/detect/spans/emails.ts'
import { anyText } from '../any-text.ts'

const emails = (text: string) => findEmails(text).map(({ start, end }) => text.slice(start, end))

t.test('addresses are found in the middle of anything', async (t) => {
  for (const [text, email] of [
    ['(c.obi@harrowgate-print.example)', 'c.obi@harrowgate-print.example'],
    ['Jakob <b.pasquinelli@macchja.example>:', 'b.pasquinelli@macchja.example'],
    ['an doku@donau.example.', 'doku@donau.example'],
    ["values ('a.z@example.org')", 'a.z@example.org'],
    ['/contacto?correo=tamy@casilla.example&x=1', 'tamy@casilla.example'],
    ['mail=paloma.gt@correolibre.example ', 'paloma.gt@correolibre.example'],
    ['mailto:ann@x.example?subject=y', 'ann@x.example'],
    ['\\texttt{p.okello@l.example.org}}', 'p.okello@l.example.org'],
    ['メールはcuong.vu@saigon.example.comです', 'cuong.vu@saigon.example.com'],
    ['写しをjiko-desk@hoken.exampleに。', 'jiko-desk@hoken.example'],
    ['「sakai..k@example.com」', 'sakai..k@example.com'],
    ['MARTINEZ34@FOYER.EXAMPLE', 'MARTINEZ34@FOYER.EXAMPLE'],
    ["pat.o'shea@brack.example", "pat.o'shea@brack.example"],
    ['= "pat o"@x ="pat.o\'shea"@brack.example', '"pat.o\'shea"@brack.example'],
    ['jörg+post@müller.example', 'jörg+post@müller.example'],
    ['info@例え.テスト', 'info@例え.テスト'],
    ['почта: иван@пример.рф.', 'иван@пример.рф'],
    ['a@xn--r8jz45g.xn--zckzah', 'a@xn--r8jz45g.xn--zckzah'],
    ['adopta@patitas_sur.example.net', 'adopta@patitas_sur.example.net'],
    ['…ann@x.example…', 'ann@x.example'],
    ['ann@x.example:hunter2', 'ann@x.example'],
    ['**ann@x.example**', 'ann@x.example'],
    ['GET /reset?to=ann%2Bnews%40x.example&n=1', 'ann%2Bnews%40x.example'],
    ['連絡先：ann＠x.example まで', 'ann＠x.example'],
    ['(a\u200Bnn@exam\u00ADple.org)', 'a\u200Bnn@exam\u00ADple.org'],
    ['\uFEFFann@x.example', 'ann@x.example'],
  ] as const)
    t.strictSame(emails(text), [email], text)
})

t.test('neighbours are told apart', async (t) => {
  t.strictSame(emails('a@x.example,b@y.example;c@z.example'), ['a@x.example', 'b@y.example', 'c@z.example']) // prettier-ignore
})

t.test('handles, machines and identifiers are no addresses', async (t) => {
  for (const text of [
    '@anna',
    '@anna@social.example',
    'git clone git@forge.example.org:werkstatt/ladder.git',
    'scp x root@host.example:/etc/passwd',
    'ssh deploy@build03.example.jp -p 2222',
    'ssh -p 2222 -i key deploy@build03.example.jp',
    'INVITE sip:2214@pbx.intern.test',
    'https://0f1e2d@sentry.example/17',
    'postgres://lector:cl4ve@db.example:5432/x',
    'Message-ID: <20240108.4F2A@mta3.example>',
    'References: <a.1@x.example> <b.2@y.example>',
    'UID:20241107T090000Z-5495@calendario.test',
    'logo@2x.png',
    'pkg@1.2.3',
    'a@localhost',
    'anna at example.com',
    'a @ b.example',
    '@',
    '...@x.example',
  ])
    t.strictSame(emails(text), [], text)
})

t.test(
  'whatever the text, addresses are apart, within it, and hold one @ with something on both sides',
  async () => {
    const text = fc.array(fc.oneof(anyText, fc.constantFrom('@', 'a@b.cd', '.', 'x.y')), { maxLength: 12 }).map((parts) => parts.join('')) // prettier-ignore
    fc.assert(
      fc.property(text, (text) => {
        let before = 0
        return findEmails(text).every(({ start, end }) => {
          const isApart = start >= before && end <= text.length
          before = end
          return isApart && /^[^@]+@[^@]+$/.test(text.slice(start, end))
        })
      }),
      { numRuns: 2000, seed: 5 },
    )
  },
)

t.test('long runs of what an address may hold are read in one go', async (t) => {
  for (const text of [
    'a.'.repeat(5000) + '@',
    '@' + 'a.'.repeat(5000),
    'a@'.repeat(5000),
    'ä.'.repeat(5000) + '@' + 'ä.'.repeat(5000),
  ])
    // prettier-ignore
    t.strictSame(emails(text), [])
})
