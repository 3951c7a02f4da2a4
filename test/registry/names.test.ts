import fc from 'fast-check'
import t from 'tap'
import { RegistryError } from '../../src/errors.ts'
import {
  comparePaths,
  DEFAULT_PATH,
  parseCheckpointName,
  parseFilePath,
  parseScope,
  parseSha256,
  parseVersionName,
  scopeCovers,
} from '../../src/registry/names.ts'

const refused = (what: string, rule: string) => ({ code: 'INVALID_NAME', facts: { what, rule } })

const BAD_NAMES: readonly (readonly [text: string, rule: string])[] = [
  ['', 'characters'],
  ['.a', 'characters'],
  ['a.', 'characters'],
  ['-a', 'characters'],
  ['a-', 'characters'],
  ['_a', 'characters'],
  ['a_', 'characters'],
  ['a b', 'characters'],
  ['a/b', 'characters'],
  ['a\n', 'characters'],
  ['é', 'characters'],
  ['\u212A', 'characters'],
  ['a+b', 'characters'],
  ['a..b', 'doubled'],
  ['a--b', 'doubled'],
  ['a.git', 'dot_git'],
  ['a.GIT', 'dot_git'],
  ['a'.repeat(97), 'length'],
]

t.test('an owner and a name keep the spelling they were given', async (t) => {
  for (const name of ['a', '7', 'Acme', 'sae-pii_v1.0', 'git', 'a.b-c_d', 'a'.repeat(96)])
    t.strictSame(parseCheckpointName(name, name), { owner: name, name })
})

t.test('an owner or a name that breaks a rule is refused with that rule', async (t) => {
  for (const [text, rule] of BAD_NAMES) {
    t.throws(() => parseCheckpointName(text, 'name'), refused('owner', rule), `owner ${text}`)
    t.throws(() => parseCheckpointName('owner', text), refused('name', rule), `name ${text}`)
  }
})

t.test("the server's own routes can't be owners, in any case, but can be names", async (t) => {
  const words =
    'api v1 docs detect detect-pii analyze cas console assets metrics health livez readyz recognizers supportedentities'
  for (const word of words.split(' ')) {
    t.throws(() => parseCheckpointName(word, 'name'), refused('owner', 'reserved'))
    t.throws(() => parseCheckpointName(word.toUpperCase(), 'name'), refused('owner', 'reserved'))
    t.strictSame(parseCheckpointName('acme', word), { owner: 'acme', name: word })
  }
  t.strictSame(parseCheckpointName('strongroom', 'pii'), { owner: 'strongroom', name: 'pii' })
})

t.test(
  'a version may hold dots, underscores, pluses and hyphens after its first character',
  async (t) => {
    for (const text of [
      '1',
      '1.0',
      '1.0.0+build.5',
      'v1--rc..',
      'a'.repeat(128),
      '0'.repeat(39),
      '0'.repeat(65),
    ])
      t.equal(parseVersionName(text), text)
  },
)

t.test('a version that breaks a rule is refused with that rule', async (t) => {
  const rows: readonly (readonly [string, string])[] = [
    ['', 'characters'],
    ['.1', 'characters'],
    ['+1', 'characters'],
    ['1 0', 'characters'],
    ['1/0', 'characters'],
    ['1\n', 'characters'],
    ['a'.repeat(129), 'length'],
    ['tags', 'reserved'],
    ['diff', 'reserved'],
    ['policy', 'reserved'],
    ['uploads', 'reserved'],
    ['main', 'reserved'],
    ['HEAD', 'reserved'],
    ['0'.repeat(40), 'digest_like'],
    ['aB'.repeat(32), 'digest_like'],
    ['F'.repeat(50), 'digest_like'],
  ]
  for (const [text, rule] of rows)
    t.throws(() => parseVersionName(text), refused('version', rule), text)
})

t.test('a path is any relative path of at most 512 bytes', async (t) => {
  const paths = [
    'model.safetensors',
    'a/b/c',
    '...',
    '.hidden',
    'a b',
    'ü/模型/🔐',
    'C:x',
    'a'.repeat(512),
  ]
  for (const text of paths) t.equal(parseFilePath(text), text)
  t.equal(DEFAULT_PATH, 'model.safetensors')
})

t.test('a path that climbs, is absolute or hides something is refused', async (t) => {
  const rows: readonly (readonly [string, string])[] = [
    ['', 'parts'],
    ['/', 'parts'],
    ['/etc/passwd', 'parts'],
    ['a/', 'parts'],
    ['a//b', 'parts'],
    ['.', 'parts'],
    ['./a', 'parts'],
    ['..', 'parts'],
    ['a/../b', 'parts'],
    ['a\\b', 'characters'],
    ['a\0', 'characters'],
    ['a\nb', 'characters'],
    ['a\u007f', 'characters'],
    ['a\u0085', 'characters'],
    ['a\u009fb', 'characters'],
    ['a\ud800', 'unicode'],
    ['\udc00a', 'unicode'],
    ['a'.repeat(513), 'length'],
    ['ü'.repeat(257), 'length'],
  ]
  for (const [text, rule] of rows)
    t.throws(() => parseFilePath(text), refused('path', rule), JSON.stringify(text))
})

t.test('paths are ordered by their UTF-8 bytes', async (t) => {
  t.ok(comparePaths('a', 'b') < 0)
  t.ok(comparePaths('a/b', 'a.b') > 0)
  t.equal(comparePaths('ü', 'ü'), 0)
  t.ok(comparePaths('\uff5e', '🔐') < 0, "where JavaScript's own order is the other way round")
})

t.test('a SHA-256 is 64 hex digits in either case, and comes out in lower case', async (t) => {
  t.equal(parseSha256('aB'.repeat(32)), 'ab'.repeat(32))
  for (const text of ['', 'a'.repeat(63), 'a'.repeat(65), 'g'.repeat(64), `${'a'.repeat(64)}\n`])
    t.throws(() => parseSha256(text, 'x-checksum-sha256'), {
      code: 'INVALID_REQUEST',
      facts: { errors: [{ field: 'x-checksum-sha256' }] },
    })
})

t.test('a scope comes out in ASCII lower case', async (t) => {
  const rows: readonly (readonly [string, string])[] = [
    ['*', '*'],
    ['Acme/*', 'acme/*'],
    ['ACME/Bert', 'acme/bert'],
    ['acme/sae-*', 'acme/sae-*'],
    ['acme/x.git*', 'acme/x.git*'],
  ]
  for (const [text, scope] of rows) t.equal(parseScope(text), scope)
})

t.test('a scope that is no pattern on owner/name is refused', async (t) => {
  const texts =
    ' |**|acme|/|/*|acme/|*/*|*/bert|ac*/bert|acme/**|acme/a*b|acme/*a|a/b/c|acme/.x*|api/*|acme/a..*|acme/\u212A'
  for (const text of ['', ...texts.split('|')])
    t.throws(() => parseScope(text), { code: 'INVALID_NAME', facts: { what: 'scope' } }, text)
})

t.test('a scope covers a checkpoint whatever the case of either', async (t) => {
  const rows: readonly (readonly [string, string, string, boolean])[] = [
    ['*', 'acme', 'bert', true],
    ['acme/*', 'ACME', 'bert', true],
    ['acme/*', 'acme2', 'bert', false],
    ['acme/bert', 'Acme', 'BERT', true],
    ['acme/bert', 'acme', 'bert2', false],
    ['acme/be*', 'acme', 'Bert', true],
    ['acme/be*', 'acme', 'be', true],
    ['acme/be*', 'acme', 'b', false],
    ['acme/be*', 'other', 'bert', false],
    ['acme/k', 'acme', '\u212A', false],
  ]
  for (const [scope, owner, name, covers] of rows)
    t.equal(scopeCovers(scope, { owner, name }), covers, `${scope} ${owner}/${name}`)
})

t.test('every parser gives back what it was given or throws a declared error', async (t) => {
  const near = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 600 }),
    fc.string({
      unit: fc.constantFrom('a', 'Z', '0', '.', '-', '+', '/', '*', '\\', '\0', '\ud800', '\u212A'),
      maxLength: 130,
    }),
  )
  const total = (parse: (text: string) => unknown, text: string) => {
    try {
      return parse(text) === text
    } catch (error) {
      return error instanceof RegistryError && error.code.startsWith('INVALID_')
    }
  }
  fc.assert(
    fc.property(near, (text) => {
      const name = (owner: string) => parseCheckpointName(owner, owner).owner
      const scope = (given: string) => parseScope(given) === given.toLowerCase() && given
      const digest = (given: string) => parseSha256(given) === given.toLowerCase() && given
      return [name, parseVersionName, parseFilePath, scope, digest].every((parse) =>
        total(parse, text),
      )
    }),
    { numRuns: 1000 },
  )
  t.pass()
})

t.test('a scope made from a name covers that name and parses to itself', async (t) => {
  const name = fc.stringMatching(/^[A-Za-z0-9]([._-]?[A-Za-z0-9]){0,20}$/)
  fc.assert(
    fc.property(name, name, fc.nat(20), (owner, text, length) => {
      fc.pre(!/\.git$/i.test(owner) && !/\.git$/i.test(text))
      const checkpoint = parseCheckpointName(`o-${owner}`, text)
      const prefix = `${text.slice(0, Math.max(1, length))}*`
      return ['*', text, prefix].every((tail) => {
        const scope = parseScope(`O-${owner}/${tail}`)
        return parseScope(scope) === scope && scopeCovers(scope, checkpoint)
      })
    }),
  )
  t.pass()
})
