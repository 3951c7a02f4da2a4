import fc from 'fast-check'
import t from 'tap'
import { createGrants, type Grant } from '../../src/hub/grants.ts'

const GRANT: Grant = {
  purpose: 'part',
  tokenId: 'a-token',
  owner: 'acme',
  name: 'bert',
  oid: 'ab'.repeat(32),
  size: 2 ** 40,
  part: 7,
}

t.test('a grant says what it was issued for, and fits into an address', async (t) => {
  const grants = createGrants(60_000)
  for (const purpose of ['put', 'part', 'complete', 'xet'] as const) {
    const longest = { ...GRANT, purpose, owner: 'o'.repeat(96), name: 'n'.repeat(96) }
    const issued = grants.issue(longest)
    t.same(grants.read(issued), longest)
    t.match(issued, /^[A-Za-z0-9_.-]{1,1000}$/)
  }
})

t.test('a grant that was altered anywhere is none', async (t) => {
  const grants = createGrants(60_000)
  const issued = grants.issue(GRANT)
  for (let at = 0; at < issued.length; at++) {
    const other = issued[at] === 'A' ? 'B' : 'A'
    const altered = issued.slice(0, at) + other + issued.slice(at + 1)
    t.equal(grants.read(altered), undefined, `at ${at}`)
    t.equal(grants.read(issued.slice(0, at)), undefined, `cut at ${at}`)
  }
  t.equal(grants.read(`${issued}A`), undefined)
})

t.test('one grant’s signature is no other’s', async (t) => {
  const grants = createGrants(60_000)
  const [text] = grants.issue({ ...GRANT, size: 1 }).split('.')
  const [, mac] = grants.issue(GRANT).split('.')
  t.equal(grants.read(`${text}.${mac}`), undefined)
  t.equal(createGrants(60_000).read(grants.issue(GRANT)), undefined, 'of another process')
})

t.test('a grant ends with its time', async (t) => {
  t.equal(createGrants(0).read(createGrants(0).issue(GRANT)), undefined)
  const grants = createGrants(0)
  t.equal(grants.read(grants.issue(GRANT)), undefined)
})

t.test('whatever is read, it is a grant or none', async (t) => {
  const grants = createGrants(60_000)
  const mac = 'A'.repeat(43)
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.base64String().map((text) => `${text}.${mac}`),
    fc.constantFrom('', '.', `.${mac}`, `${'A'.repeat(2000)}.${mac}`, `a.${mac}.a`),
  )
  fc.assert(
    fc.property(text, (text) => {
      t.equal(grants.read(text), undefined)
    }),
  )
})
