import fc from 'fast-check'
import t from 'tap'
import { RegistryError } from '../../src/errors.ts'
import { type Line, readJsonLines, type Spool } from '../../src/hub/json-lines.ts'
import { bytesOf } from '../hashing/fixture.ts'

const MIB = 1024 * 1024
const LIMITS = { maxLines: 20, maxContentBytes: MIB }

/** Spools in memory, which count how many of them are open and how many bytes came at once. */
function spools() {
  const counts = { opened: 0, open: 0, largest: 0, bytes: 0 }
  const openSpool = async (): Promise<Spool> => {
    const pieces: Uint8Array[] = []
    counts.opened += 1
    counts.open += 1
    return Promise.resolve({
      append: (bytes) => {
        pieces.push(Uint8Array.from(bytes))
        counts.largest = Math.max(counts.largest, bytes.length)
        counts.bytes += bytes.length
        return Promise.resolve()
      },
      read: async function* () {
        for (const piece of pieces) yield await Promise.resolve(piece)
      },
      discard: () => {
        counts.open -= 1
        return Promise.resolve()
      },
    })
  }
  return { counts, openSpool }
}

async function* inPieces(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let i = 0
  for (let at = 0; at < bytes.length;) {
    const size = sizes[i++ % sizes.length] ?? bytes.length
    // Memory that the reader must not keep: it is written over as a socket's would be.
    const piece = Buffer.from(bytes.subarray(at, at + size))
    yield await Promise.resolve(piece)
    piece.fill(0x58)
    at += size
  }
}

interface Told {
  readonly value: unknown
  /** Base64 of what was taken out. */
  readonly taken: string | undefined
}

/** A line with its content back in place, whether or not it was taken out. */
async function toldOf({ value, content }: Line): Promise<Told> {
  if (content === undefined) return { value, taken: undefined }
  const pieces: Uint8Array[] = []
  for await (const piece of content.spool.read()) pieces.push(piece)
  const taken = Buffer.concat(pieces).toString('base64')
  const text = JSON.stringify(value).replace(content.placeholder, taken)
  return { value: JSON.parse(text), taken }
}

/** The lines, or the code of the error. All spools are closed either way. */
async function read(
  text: string | Uint8Array,
  sizes: readonly number[] = [65_536],
): Promise<readonly Told[] | string> {
  const { counts, openSpool } = spools()
  const outcome = await collect(openSpool).catch((error: unknown) => {
    if (error instanceof RegistryError) return error.code
    throw error
  })
  if (counts.open !== 0) throw new Error(`${counts.open} spools were left open`)
  return outcome

  async function collect(open: () => Promise<Spool>): Promise<readonly Told[]> {
    const told: Told[] = []
    const body = inPieces(Buffer.from(text), sizes)
    for await (const line of readJsonLines(body, LIMITS, open)) {
      if (counts.open > 1) throw new Error('two spools are open')
      told.push(await toldOf(line))
    }
    return told
  }
}

const values = (told: readonly Told[] | string): unknown =>
  typeof told === 'string' ? told : told.map(({ value }) => value)

const contentArbitrary = fc
  .record({ bytes: fc.integer({ min: 0, max: 300 * 1024 }), seed: fc.string(), ones: fc.boolean() })
  // Bytes of ones are nothing but slashes, each of which may be escaped.
  .map(({ bytes, seed, ones }) => (ones ? Buffer.alloc(bytes, 0xff) : bytesOf(seed, bytes)))

const lineArbitrary = fc
  .record({
    content: contentArbitrary,
    path: fc.string({ maxLength: 40, unit: 'binary' }),
    isContentFirst: fc.boolean(),
    areSlashesEscaped: fc.boolean(),
    indent: fc.constantFrom('', ' ', '\t'),
    before: fc.constantFrom('', '\n', '  \r\n', '\t\n\n'),
    ending: fc.constantFrom('\n', '\r\n'),
  })
  .map(({ content, path, isContentFirst, areSlashesEscaped, indent, before, ending }) => {
    const fields = { content: content.toString('base64'), path, encoding: 'base64' }
    const { content: last, ...rest } = fields
    const value = isContentFirst ? fields : { ...rest, content: last }
    const object = { key: 'file', value }
    const json = JSON.stringify(object)
      .replaceAll('":', `"${indent}:${indent}`)
      .replaceAll('/', areSlashesEscaped ? '\\/' : '/')
    return { object: JSON.parse(json) as unknown, text: `${before}${indent}${json}${ending}` }
  })

t.test('however the bytes are cut, the lines are the same', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(lineArbitrary, { maxLength: 4 }),
      fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 10, max: 70_000 })), {
        minLength: 1,
        maxLength: 6,
      }),
      fc.boolean(),
      async (lines, sizes, isEnded) => {
        const all = lines.map(({ text }) => text).join('')
        const text = isEnded ? all : all.trimEnd()
        const expected = lines.map(({ object }) => object)
        const some = sizes.some((size) => size > 1000) ? sizes : [...sizes, 5000]
        t.strictSame(values(await read(text, some)), expected)
      },
    ),
    { numRuns: 25 },
  )
})

t.test('whatever comes, it is lines or a declared error, however it is cut', async (t) => {
  const parts = fc.constantFrom(
    ...[
      '"',
      '\\',
      '\\"',
      '\\\\',
      '\\/',
      '\\u002f',
      '\n',
      '\r\n',
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      ' ',
    ],
    ...['null', '\0', '\x80', '\ud800', 'é', '={}', 'A'.repeat(70_000), '\\/'.repeat(40_000), '='],
    ...['{"key":"file","value":{"content":"', '","path":"a"}}\n', '{"a":1}\n'],
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(parts, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 4 }),
      async (pieces, sizes) => {
        const bytes = Buffer.concat(pieces.map((piece) => Buffer.from(piece, 'latin1')))
        const whole = await read(bytes)
        t.ok(typeof whole !== 'string' || ['INVALID_REQUEST', 'TOO_LARGE'].includes(whole))
        t.strictSame(values(await read(bytes, [...sizes, 60_000])), values(whole))
      },
    ),
    { numRuns: 40 },
  )
})

t.test(
  'only a long string is taken out, and its place is taken by what nobody guesses',
  async (t) => {
    const short = Buffer.alloc(3 * 16_384).toString('base64')
    const long = Buffer.alloc(3 * 16_384 + 3, 'a').toString('base64')
    t.match(await read(`{"content":"${short}"}`), [{ taken: undefined }])
    t.match(await read(`{"content":"${long}"}`), [{ taken: long }])
    const names = new Set<string>()
    const { openSpool } = spools()
    const twice = Buffer.from(`{"content":"${long}"}\n`.repeat(2))
    for await (const { content } of readJsonLines(inPieces(twice, [9999]), LIMITS, openSpool))
      names.add(content?.placeholder ?? '')
    t.equal(names.size, 2)
  },
)

const LONG = 'QUJD'.repeat(20_000)
const REFUSED: readonly (readonly [string, string, string])[] = [
  ['two contents in a line', `{"a":"${LONG}","b":"${LONG}"}`, 'INVALID_REQUEST'],
  ['a long string that is no base64', `{"a":"${LONG}!"}`, 'INVALID_REQUEST'],
  ['base64 without its padding', `{"a":"${LONG}QQ"}`, 'INVALID_REQUEST'],
  ['padding in the middle', `{"a":"QQ==${LONG}"}`, 'INVALID_REQUEST'],
  ['padding three times', `{"a":"${LONG}Q==="}`, 'INVALID_REQUEST'],
  ['a NUL in base64', `{"a":"${LONG}\0AAA"}`, 'INVALID_REQUEST'],
  ['letters beyond ASCII in base64', `{"a":"${LONG}éAA"}`, 'INVALID_REQUEST'],
  ['a long string without its end', `{"a":"${LONG}`, 'INVALID_REQUEST'],
  ['a short string without its end', `{"a":"A\n"}`, 'INVALID_REQUEST'],
  ['a line cut in the middle', `{"a":1}\n{"a":`, 'INVALID_REQUEST'],
  ['a NUL between tokens', `{"a":\x001}`, 'INVALID_REQUEST'],
  ['a NUL in a string', `{"a":"\0"}`, 'INVALID_REQUEST'],
  ['brackets that open and never close', '['.repeat(200 * 1024), 'INVALID_REQUEST'],
  ['a line that is too long', '[' + '1,'.repeat(140_000) + '1]', 'INVALID_REQUEST'],
  ['very many strings in a line', '["' + '","'.repeat(100_000) + '"]', 'INVALID_REQUEST'],
  ['more lines than are taken', '{}\n'.repeat(21), 'TOO_LARGE'],
  ['one line too many, without its end', '{}\n'.repeat(20) + '{}', 'TOO_LARGE'],
  ['nothing but line ends', '\n'.repeat(1000), 'TOO_LARGE'],
]
for (const [what, text, code] of REFUSED)
  t.test(`${what}: refused, and no spool stays`, async (t) => {
    t.equal(await read(text), code)
    t.equal(await read(text, [997]), code)
  })

t.test('an escape that is none of base64 is refused wherever the bytes are cut', async (t) => {
  const text = Buffer.from(`{"a":"${LONG}\\\\/AAA${LONG}"}`)
  const place = text.indexOf('\\')
  for (let cut = place - 2; cut < place + 6; cut++)
    for (const size of [1, 2, 3])
      t.equal(await read(text, [cut, size, size, size, 65_536]), 'INVALID_REQUEST')
})

t.test('depth alone doesn’t end the process', async (t) => {
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  const { openSpool } = spools()
  const lines = readJsonLines(inPieces(Buffer.from(deep), [65_536]), LIMITS, openSpool)
  t.type((await lines.next()).value, Object)
})

t.test('what is no UTF-8 is text with replacements, which names nothing', async (t) => {
  const bytes = Buffer.from([...Buffer.from('{"path":"'), 0xff, 0xc0, ...Buffer.from('"}')])
  t.same(values(await read(bytes)), [{ path: '\ufffd\ufffd' }])
  t.same(values(await read('{"path":"\\ud800"}')), [{ path: '\ud800' }])
})

t.test('a content over the limit is refused before it is whole', async (t) => {
  const { counts, openSpool } = spools()
  let sent = 0
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('{"key":"file","value":{"content":"')
    for (;;) {
      sent += 65_536
      yield await Promise.resolve(Buffer.alloc(65_536, 'A'))
    }
  }
  await t.rejects(readJsonLines(endless(), LIMITS, openSpool).next(), { code: 'TOO_LARGE' })
  t.ok(sent < 2 * MIB, `${sent} bytes were taken`)
  t.same([counts.opened, counts.open], [1, 0])
  t.ok(counts.bytes <= MIB)
})

t.test('a content passes through in pieces no larger than those that it came in', async (t) => {
  const { counts, openSpool } = spools()
  const content = Buffer.alloc(3 * MIB, 0xff)
    .toString('base64')
    .replaceAll('/', '\\/')
  const body = inPieces(Buffer.from(`{"content":"${content}"}`), [65_536])
  const limits = { maxLines: 1, maxContentBytes: 3 * MIB }
  const lines = readJsonLines(body, limits, openSpool)
  t.match((await lines.next()).value, { content: { placeholder: String } })
  t.equal(counts.bytes, 3 * MIB)
  t.ok(counts.largest <= 65_536, String(counts.largest))
  await lines.return()
  t.equal(counts.open, 0, 'whoever stops reading leaves nothing behind')
})

t.test('a body that breaks off leaves no spool', async (t) => {
  const { counts, openSpool } = spools()
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(Buffer.from(`{"a":"${LONG}`))
    throw new Error('the socket is gone')
  }
  await t.rejects(readJsonLines(broken(), LIMITS, openSpool).next(), /socket is gone/)
  t.same([counts.opened, counts.open], [1, 0])
})
