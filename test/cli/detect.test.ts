import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { ADMIN } from '../helpers/server.ts'
import { startDetecting } from '../routes/detecting.ts'
import { pipe, run } from './fixture.ts'

t.setTimeout(120_000)

const server = await startDetecting(t)
const env = { STRONGROOM_URL: server.url, STRONGROOM_TOKEN: ADMIN }
const folder = t.testdir()
const file = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
/** Whether there is personal data, and each file, with whether it failed. */
function jsonOfText(document: string): readonly unknown[] {
  const { has_pii: hasPii, inputs } = JSON.parse(document) as {
    has_pii: boolean | null
    inputs: { file: string; error?: object; pii_spans?: object[] }[]
  }
  return [hasPii, ...inputs.map(({ file, error }) => [file, error !== undefined])]
}
const MAILS = ['--categories', 'email']
const detect = (...args: readonly string[]) => run(['detect', ...MAILS, ...args], env)
const detectIn = (input: string | Uint8Array, ...args: readonly string[]) =>
  pipe(input, ['detect', ...MAILS, ...args], env)

t.test('it ends with 1 where something is found and with 0 where nothing is', async (t) => {
  const [found, nothing, blank] = await Promise.all([
    detect('Mail a@example.org'),
    detect('Mail nobody'),
    detectIn(''),
  ])
  t.match(found, { code: 1, stdout: /^1:6: email 0\.\d\d\n$/, stderr: '' })
  t.match(nothing, { code: 0, stdout: '', stderr: '' })
  t.match(blank, { code: 0, stdout: '', stderr: '' })
})

t.test('what was found is shown where that is asked for', async (t) => {
  const found = await detect('Mail a@example.org', '--include-text', '--explain')
  t.match(found.stdout, /^1:6: email 0\.\d\d a@example\.org\n {2}latent \d+: activation/)
})

t.test('standard input is read where it is piped in, or named', async (t) => {
  const text = 'first\n😀 a@example.org\r\n\r\nb@example.org'
  const [piped, named] = await Promise.all([detectIn(text), detectIn(text, '-')])
  t.match(piped, { code: 1, stdout: /^2:3: email .*\n4:1: email .*\n$/ })
  t.strictSame(named, piped)
})

t.test('files are told as grep does, a line a span', async (t) => {
  const one = file('one.txt', 'x a@example.org\n')
  const two = file('two.txt', 'nothing\n')
  const three = file('three.txt', '\ufeffb@example.org')
  const found = await detect('--file', one, '--file', two, '-f', three)
  t.equal(found.code, 1)
  t.strictSame(
    found.stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/ 0\.\d\d$/, '')),
    [`${one}:1:3: email`, `${three}:1:2: email`],
  )
  t.match(await detect('--file', two), { code: 0, stdout: '' })
})

t.test('a text comes out redacted, to the byte what it was but for its spans', async (t) => {
  const text = 'From a@example.org\r\nto b@example.org'
  const redacted = await detectIn(text, '--redact')
  t.match(redacted, { code: 1, stdout: 'From [EMAIL]\r\nto [EMAIL]', stderr: '' })
  t.match(await detect('--redact', 'a@example.org'), { code: 1, stdout: '[EMAIL]\n' })
  t.match(await detectIn('nothing', '--redact'), { code: 0, stdout: 'nothing' })
})

t.test('a long text is judged in pieces, whose places are those of the whole', async (t) => {
  const lines = Array.from({ length: 3000 }, (_, i) =>
    i % 100 === 0 ? `line ${i} u${i}@example.org` : `line ${i}${' '.repeat(70)}`,
  )
  const text = lines.join('\n')
  const [json, redacted] = await Promise.all([detectIn(text, '--json'), detectIn(text, '--redact')])
  t.equal(json.code, 1, json.stderr)
  const [{ pii_spans: spans } = { pii_spans: [] }] = (
    JSON.parse(json.stdout) as {
      inputs: { pii_spans: { start: number; end: number; line: number }[] }[]
    }
  ).inputs
  t.strictSame(
    spans.map(({ start, end, line }) => [line - 1, text.slice(start, end)]),
    Array.from({ length: 30 }, (_, i) => [i * 100, `u${i * 100}@example.org`]),
  )
  t.equal(redacted.stdout, text.replace(/u\d+@example\.org/g, '[EMAIL]'))
})

t.test('what lies across a cut is found once', async (t) => {
  const mail = 'somebody.with.a.long.name@example.org'
  // Without a space the cut is at 8,000, and 7,964 leaves it a shorter mail before it.
  for (const [at, between] of [
    [7700, ' '],
    [7980, ' '],
    [7964, ';'],
  ] as const) {
    const text = `${`x${between}`.repeat(at / 2)}${mail}${`${between}y`.repeat(4000)}`
    const { stdout } = await detectIn(text, '--redact')
    t.equal(stdout, text.replace(mail, '[EMAIL]'), `at ${at}`)
  }
})

t.test('programs get one document', async (t) => {
  const path = file('four.txt', 'x\na@example.org')
  const shown = await detect('--json', '--file', path, '--include-text', '--redact')
  t.equal(shown.code, 1)
  t.match(JSON.parse(shown.stdout), {
    has_pii: true,
    offset_encoding: 'utf16',
    model_versions: ['acme/tiny@1.0'],
    inputs: [
      {
        file: path,
        pii_spans: [
          { category: 'email', start: 2, end: 15, line: 2, column: 1, text: 'a@example.org' },
        ],
        redacted_text: 'x\n[EMAIL]',
      },
    ],
  })
  const nothing = await detectIn('', '--json')
  t.match(JSON.parse(nothing.stdout), { has_pii: false, inputs: [{ file: null, pii_spans: [] }] })
})

t.test('the threshold, the language and the categories are the caller’s', async (t) => {
  const [certain, unknown] = await Promise.all([
    detect('a@example.org', '--threshold', '1'),
    detect('a@example.org', '--language', 'tlh'),
  ])
  t.match(certain, { code: 0, stdout: '' })
  t.match(unknown, { code: 2, stdout: '', stderr: /INVALID_REQUEST/ })
  const phones = await run(['detect', 'a@example.org', '--categories', 'phone'], env)
  t.match(phones, { code: 0, stdout: '' })
})

t.test('what is no text is refused', async (t) => {
  const ended = await Promise.all([
    detect('--file', file('zip.bin', Buffer.from('PK\u0003\u0004\u0000 a@example.org'))),
    detect('--file', file('latin1.txt', Buffer.from('café a@example.org', 'latin1'))),
    detectIn(Buffer.from([0x61, 0xc3])),
    detect('--file', folder),
    detect('--file', join(folder, 'none.txt')),
  ])
  for (const one of ended) t.match(one, { code: 2, stdout: '', stderr: /LOCAL_FILE/ })
})

t.test('what can’t be meant ends with 2', async (t) => {
  const path = file('named.txt', 'a@example.org')
  const wrong = [
    [path],
    ['a text', '--file', path],
    ['x', '--threshold', '2'],
    ['x', '--threshold', 'high'],
    ['x', '--categories', 'iban'],
    ['x', '--no-such-option'],
  ]
  const ended = await Promise.all(wrong.map((args) => run(['detect', ...args], env)))
  ended.forEach((one, i) => t.match(one, { code: 2, stdout: '' }, wrong[i]?.join(' ') ?? ''))
})

t.test('where nothing can be said it ends with 3', async (t) => {
  const nobody = { ...env, STRONGROOM_TOKEN: 'sr_nobody' }
  const nowhere = { ...env, STRONGROOM_URL: 'http://127.0.0.1:1' }
  t.match(await run(['detect', 'x'], nobody), { code: 3, stderr: /UNAUTHENTICATED/ })
  t.match(await run(['detect', 'x'], nowhere), { code: 3, stderr: /UNREACHABLE/ })
  const reader = { ...env, STRONGROOM_TOKEN: await server.token('reader') }
  t.match(await run(['detect', 'x'], reader), { code: 3, stderr: /FORBIDDEN/ })
  for (const status of [429, 503]) {
    const busy = createServer((_request, response) => {
      response.writeHead(status, { 'content-type': 'application/problem+json' })
      response.end(JSON.stringify({ code: 'BUSY', detail: 'later', status }))
    })
    await once(busy.listen(0, '127.0.0.1'), 'listening')
    t.teardown(() => busy.close())
    const { port } = busy.address() as AddressInfo
    const url = { ...env, STRONGROOM_URL: `http://127.0.0.1:${port}` }
    t.match(await run(['detect', 'x', '--json'], url), { code: 3, stdout: '', stderr: /BUSY/ })
  }
})

t.test('a file that can’t be read stops no other, and is never nothing found', async (t) => {
  const clean = file('clean.txt', 'nothing')
  const mails = file('mails.txt', 'a@example.org')
  const absent = join(folder, 'absent.txt')
  const binary = file('late.bin', `a@example.org${' x'.repeat(60_000)}\u0000`)
  const found = await detect('--file', absent, clean, binary, mails)
  t.equal(found.code, 2)
  t.match(found.stdout, /mails\.txt:1:1: email/)
  t.match(found.stderr, /absent\.txt.*LOCAL_FILE\]\n.*late\.bin.*LOCAL_FILE\]\n$/)

  t.match(await detect('--file', clean, absent), { code: 2, stdout: '', stderr: /absent/ })
  const shown = await detect('--json', '--file', clean, absent)
  t.equal(shown.code, 2)
  t.strictSame(jsonOfText(shown.stdout), [null, [clean, false], [absent, true]])
  const nowhere = { ...env, STRONGROOM_URL: 'http://127.0.0.1:1' }
  const both = await run(['detect', '--file', absent, clean], nowhere)
  t.match(both, { code: 3, stderr: /absent[^]*UNREACHABLE/ })
})

t.test('a hook gives the files of a commit, and a text is not among them', async (t) => {
  const paths = [file('h1.txt', 'x'), file('-h2.txt', 'a@example.org'), file('h 3.txt', 'y')]
  t.match(await detect('--file', ...paths), { code: 1, stdout: /h2\.txt:1:1: email/ })
  t.match(await detect('--file', ...paths, '--', 'a text'), { code: 2, stdout: '' })
  t.match(await detect('a text', '--file', ...paths), { code: 2, stdout: '' })
  t.match(await detect('--', '--a@example.org'), { code: 1, stderr: '' })
})
