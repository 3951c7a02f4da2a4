import fc from 'fast-check'
import t from 'tap'
import { parseNewVersion, parseVersionRef } from '../../src/cli/client-options.ts'
import { parseMetadata } from '../../src/cli/push.ts'
import { UsageError } from '../../src/cli/shell.ts'
import { parseDuration } from '../../src/cli/token.ts'
import { bytesInWords, printable, table } from '../../src/cli/words.ts'

t.test('bytes are told in the unit that fits', async (t) => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1024 ** 2 - 1, '1.0 MiB'],
    [1.5 * 1024 ** 3, '1.5 GiB'],
    [Number.MAX_SAFE_INTEGER, '8.0 PiB'],
  ]
  for (const [bytes, words] of cases) t.equal(bytesInWords(bytes), words)
})

t.test('nothing printable moves the cursor or turns the direction of writing', async (t) => {
  t.equal(printable('a\u001b[2Jb\u202e\n\u0085é日'), 'a\\u001b[2Jb\\u202e\\u000a\\u0085é日')
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      (text) => !/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u.test(printable(text)),
    ),
  )
})

t.test('a table pads to its widest cell and ends no line with spaces', async (t) => {
  t.equal(
    table([
      ['a', 'b'],
      ['long', 'c'],
      ['x', ''],
    ]),
    'a     b\nlong  c\nx',
  )
})

t.test('lifetimes are read in seconds, minutes, hours, days and weeks', async (t) => {
  t.equal(parseDuration('90d'), 90 * 86_400_000)
  t.equal(parseDuration('1w'), 7 * 86_400_000)
  t.equal(parseDuration('30s'), 30_000)
  for (const text of ['', '0d', '-1d', '1', '1.5h', '1y', 'd', '999999999w', ' 1d'])
    t.throws(() => parseDuration(text), { name: 'UsageError' }, text)
})

t.test('metadata is key=value, where the value may hold anything', async (t) => {
  t.strictSame({ ...parseMetadata(['a=1', 'b=', 'c=d=e']) }, { a: '1', b: '', c: 'd=e' })
  t.equal(parseMetadata(['__proto__=x'])['__proto__'], 'x')
  for (const pairs of [['a'], ['=1'], ['a=1', 'a=1']])
    t.throws(() => parseMetadata(pairs), { name: 'UsageError' })
})

t.test('a version is named owner/name@ref', async (t) => {
  t.strictSame(parseVersionRef('acme/bert@1.0+cpu'), {
    owner: 'acme',
    name: 'bert',
    ref: '1.0+cpu',
  })
  t.equal(parseVersionRef(`acme/bert@${'a'.repeat(64)}`).ref.length, 64)
  t.throws(() => parseNewVersion(`acme/bert@${'a'.repeat(64)}`), { name: 'UsageError' })
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.stringMatching(/^[a.-]{0,3}\/?[a./-]{0,3}@[a./@-]{0,3}$/)),
      (text) => {
        try {
          const { owner, name, ref } = parseVersionRef(text)
          return `${owner}/${name}@${ref}` === text && !/[/?#%\s]/.test(owner + name + ref)
        } catch (error) {
          return error instanceof UsageError
        }
      },
    ),
  )
})
