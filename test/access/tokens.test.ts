import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { newTokenSecret, parseBearer, tokenDigest } from '../../src/access/tokens.ts'

t.test('a new token is sr_ and 32 random bytes, and never the same twice', async (t) => {
  const secrets = Array.from({ length: 100 }, newTokenSecret)
  for (const secret of secrets) t.match(secret, /^sr_[A-Za-z0-9_-]{43}$/)
  t.equal(new Set(secrets).size, secrets.length)
})

t.test("a token's digest is its SHA-256", async (t) => {
  t.strictSame(tokenDigest('sr_abc'), createHash('sha256').update('sr_abc').digest())
})

t.test("a token is the same token behind the Hub's prefix", async (t) => {
  const secret = newTokenSecret()
  t.strictSame(tokenDigest(`hf_${secret}`), tokenDigest(secret))
})

t.test("the Hub's prefix is taken off once, and only before our own", async (t) => {
  t.notSame(tokenDigest('hf_hf_sr_abc'), tokenDigest('sr_abc'))
  t.notSame(tokenDigest('hf_abc'), tokenDigest('abc'))
  t.notSame(tokenDigest('HF_sr_abc'), tokenDigest('sr_abc'))
})

t.test('a bearer token is found whatever the case of its scheme', async (t) => {
  for (const scheme of ['Bearer', 'bearer', 'BEARER', 'Bearer  '])
    t.strictSame(parseBearer(`${scheme} sr_a-b.c~d+e/f==`), {
      kind: 'token',
      token: 'sr_a-b.c~d+e/f==',
    })
})

t.test('a request without credentials of our scheme has none', async (t) => {
  for (const header of [undefined, '', 'Basic dTpw', 'Bearertoken', 'Digest a="b"', ' Bearer a'])
    t.strictSame(parseBearer(header), { kind: 'none' }, String(header))
})

t.test('a bearer header that holds no token is malformed', async (t) => {
  const headers = ['Bearer', 'Bearer ', 'Bearer a b', 'Bearer =', 'Bearer a=b', 'Bearer "a"']
  for (const header of [...headers, 'Bearer a,b', 'Bearer é', 'Bearer a\n', 'Bearer \ta'])
    t.strictSame(parseBearer(header), { kind: 'malformed' }, JSON.stringify(header))
})

t.test('every header is one of the three, and a long one takes no time', async (t) => {
  const begun = performance.now()
  for (const part of [' ', 'a', '=', 'a=', ' a']) parseBearer(`Bearer ${part.repeat(16_384)}!`)
  t.ok(performance.now() - begun < 1000)
  fc.assert(
    fc.property(fc.stringMatching(/^[Bb]earer +[A-Za-z0-9._~+/-]+=*$/), (header) => {
      return parseBearer(header).kind === 'token'
    }),
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      return ['none', 'malformed', 'token'].includes(parseBearer(`Bearer ${text}`).kind)
    }),
  )
})
