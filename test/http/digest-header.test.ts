import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { RegistryError } from '../../src/errors.ts'
import {
  expectedSha256,
  formatReprDigest,
  parseDigestHeader,
} from '../../src/http/digest-header.ts'

/** The example of RFC 9530 §2: of `{"hello": "world"}` and a line feed. */
const HELLO = 'RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg='
const HELLO_HEX = createHash('sha256').update('{"hello": "world"}\n').digest('hex')
const ZERO = 'A'.repeat(43) + '='
const ZERO_HEX = '0'.repeat(64)

/** Algorithms and hex, in short. */
const read = (value: string) =>
  Array.from(
    parseDigestHeader(value),
    ([key, bytes]) => `${key} ${Buffer.from(bytes).toString('hex')}`,
  )

t.test('a digest header is a dictionary of byte sequences', async (t) => {
  const rows: readonly (readonly [value: string, read: readonly string[]])[] = [
    ['', []],
    ['  ', []],
    [`sha-256=:${HELLO}:`, [`sha-256 ${HELLO_HEX}`]],
    [` sha-256=:${HELLO}: `, [`sha-256 ${HELLO_HEX}`]],
    [`sha-256=:${HELLO.slice(0, -1)}:`, [`sha-256 ${HELLO_HEX}`]],
    [`md5=:AA==: ,\tsha-256=:${HELLO}:`, ['md5 00', `sha-256 ${HELLO_HEX}`]],
    [`sha-256=:${HELLO}:, sha-256=:${ZERO}:`, [`sha-256 ${ZERO_HEX}`]],
    [`sha-256=:AA==:, sha-256=:${ZERO}:`, [`sha-256 ${ZERO_HEX}`]],
    [`sha-256=:${ZERO}:;a;b=1;c="x\\"y";  d=?1;e=tok/en;f=:AA==:`, [`sha-256 ${ZERO_HEX}`]],
    ['*x_.-9=::', ['*x_.-9 ']],
  ]
  for (const [value, expected] of rows) t.strictSame(read(value), expected, value)
})

t.test('a digest header of any other form is refused', async (t) => {
  const values = [
    'sha-256',
    'sha-256=',
    `sha-256=${HELLO}`,
    `sha-256=:${HELLO}`,
    `sha-256=${HELLO}:`,
    `SHA-256=:${HELLO}:`,
    `sha-256 =:${HELLO}:`,
    `sha-256= :${HELLO}:`,
    `sha-256=:${HELLO}:,`,
    `,sha-256=:${HELLO}:`,
    `sha-256=:${HELLO}:,,md5=:AA==:`,
    `sha-256=:${HELLO}: md5=:AA==:`,
    `sha-256=:${HELLO}:;`,
    `sha-256=:${HELLO}: ;a`,
    `sha-256=:${HELLO}:;a=`,
    `sha-256="${HELLO}"`,
    `sha-256=(:${HELLO}:)`,
    `sha-256=${HELLO_HEX}`,
    `sha-256=:${HELLO_HEX}:`,
    'sha-256=:AA==:',
    'sha-256=::',
    'md5=:A:',
    'md5=:AA=A:',
    'md5=:A_-A:',
    'md5=:AA\n==:',
  ]
  for (const value of values)
    t.throws(
      () => parseDigestHeader(value, 'content-digest'),
      { code: 'INVALID_REQUEST', facts: { errors: [{ field: 'content-digest' }] } },
      JSON.stringify(value),
    )
})

t.test('the expected SHA-256 may come from any of three headers', async (t) => {
  const digest = `sha-256=:${HELLO}:`
  t.equal(expectedSha256({}), undefined)
  t.equal(expectedSha256({ contentDigest: digest }), HELLO_HEX)
  t.equal(expectedSha256({ reprDigest: digest }), HELLO_HEX)
  t.equal(expectedSha256({ xChecksumSha256: HELLO_HEX.toUpperCase() }), HELLO_HEX)
  t.equal(
    expectedSha256({ contentDigest: digest, reprDigest: digest, xChecksumSha256: HELLO_HEX }),
    HELLO_HEX,
  )
})

t.test('algorithms other than SHA-256 are ignored', async (t) => {
  t.equal(expectedSha256({ reprDigest: 'sha-512=:AAAA:, md5=:AA==:' }), undefined)
  t.equal(expectedSha256({ reprDigest: 'md5=:AA==:', xChecksumSha256: ZERO_HEX }), ZERO_HEX)
})

t.test('digests that contradict each other are refused', async (t) => {
  const digest = `sha-256=:${HELLO}:`
  const zero = `sha-256=:${ZERO}:`
  for (const headers of [
    { contentDigest: digest, reprDigest: zero },
    { contentDigest: digest, xChecksumSha256: ZERO_HEX },
    { reprDigest: zero, xChecksumSha256: HELLO_HEX },
  ])
    t.throws(() => expectedSha256(headers), { code: 'INVALID_REQUEST' })
})

t.test("a header that can't be read is refused even beside one that can", async (t) => {
  const contentDigest = `sha-256=:${HELLO}:`
  for (const headers of [
    { contentDigest, reprDigest: 'nonsense' },
    { contentDigest, xChecksumSha256: 'nonsense' },
    { contentDigest, xChecksumSha256: '' },
  ])
    t.throws(() => expectedSha256(headers), { code: 'INVALID_REQUEST' })
})

t.test('any digest that is written is read back', async (t) => {
  t.equal(formatReprDigest(HELLO_HEX), `sha-256=:${HELLO}:`)
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
      const hex = Buffer.from(bytes).toString('hex')
      return expectedSha256({ reprDigest: formatReprDigest(hex) }) === hex
    }),
  )
  t.pass()
})

t.test('no header does worse than be refused, and the longest takes no time', async (t) => {
  const survives = (value: string) => {
    try {
      return expectedSha256({ reprDigest: value }) !== ''
    } catch (error) {
      return error instanceof RegistryError && error.code === 'INVALID_REQUEST'
    }
  }
  const begun = performance.now()
  const parts = [
    ' ',
    ',',
    '=',
    ':',
    'a',
    'a=:',
    'a=::,',
    ';a',
    ';a=1',
    ';  ',
    ';a="',
    '\\"',
    '1',
    '::;a=',
  ]
  for (const head of ['', 'a=:', 'a=::', 'a=::;a=', 'a=::;a="', 'a=::;a=1'])
    for (const part of parts)
      for (const tail of ['', '!']) t.ok(survives(head + part.repeat(16_384) + tail))
  t.ok(performance.now() - begun < 4000)
  const unit = fc.constantFrom('sha-256', '=', ':', HELLO, ';', ',', ' ', 'a', '"', '\\', '?1', 'é')
  fc.assert(fc.property(fc.string({ unit, maxLength: 30 }), survives), { numRuns: 1000 })
})
