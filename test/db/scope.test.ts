import fc from 'fast-check'
import t from 'tap'
import { addToken, BERT, file, openAt, publication } from './fixture.ts'

const NAMES = ['a', 'ab', 'a-b', 'a.b', 'a_b', 'B', 'bert', 'bert2', '0']
const OWNERS = ['acme', 'ACME2', 'a', 'z_z']
const all = OWNERS.flatMap((owner) => NAMES.map((name) => ({ owner, name })))

/** The rule as the contract words it. */
function within(scope: string, owner: string, name: string): boolean {
  const full = `${owner}/${name}`.toLowerCase()
  return scope.endsWith('*') ? full.startsWith(scope.slice(0, -1)) : full === scope
}

const part = (words: readonly string[]) =>
  fc.oneof(fc.constantFrom(...words), fc.stringMatching(/^[ab][-._ab0]{0,2}$/))
const scopes = fc.oneof(
  fc.constant('*'),
  fc
    .tuple(part(OWNERS), fc.oneof(fc.constant(''), part(NAMES)), fc.boolean())
    .map(([owner, name, open]) =>
      `${owner}/${name === '' || open ? `${name}*` : name}`.toLowerCase(),
    ),
)

t.test('listing, publishing and holding bytes agree on what a scope covers', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  for (const { owner, name } of all) {
    const files = [file(`${owner}/${name}`)]
    await ledger.publish(publication('1', { owner, name, files }))
  }
  let count = 0
  const property = async (scope: string, from: number): Promise<void> => {
    const id = `scoped ${count++}`
    await addToken(ledger, id, { scope })
    const listed = await ledger.checkpoints({ scope, limit: 1000 })
    const expected = all.filter(({ owner, name }) => within(scope, owner, name))
    t.same(
      listed.map(({ owner, name }) => `${owner}/${name}`).sort(),
      expected.map(({ owner, name }) => `${owner}/${name}`).sort(),
      scope,
    )
    for (const { owner, name } of all.slice(from, from + 6)) {
      const inside = within(scope, owner, name)
      const claim = publication('1', { tokenId: id, owner, name, revision: '00'.repeat(32) })
      const { outcome } = await ledger.publish(claim)
      t.equal(outcome, inside ? 'exists' : 'forbidden', `${id} on ${owner}/${name}`)
      const held = await ledger.blobHeldBy(id, file(`${owner}/${name}`).sha256, BERT)
      t.equal(held !== undefined, inside)
    }
  }
  const from = fc.nat({ max: all.length - 6 })
  await fc.assert(fc.asyncProperty(scopes, from, property), { numRuns: 60 })
})

t.test('a listing by owner, prefix and page agrees with a plain filter', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  for (const { owner, name } of all) await ledger.publish(publication('1', { owner, name }))
  const key = (one: { owner: string; name: string }) => `${one.owner}/${one.name}`
  const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0)
  const byName = (a: { owner: string; name: string }, b: { owner: string; name: string }) =>
    order(a.owner.toLowerCase(), b.owner.toLowerCase()) ||
    order(a.name.toLowerCase(), b.name.toLowerCase())

  const property = async (
    scope: string,
    owner: string | undefined,
    prefix: string | undefined,
    limit: number,
  ): Promise<void> => {
    const pages: string[] = []
    let after: string | undefined
    for (;;) {
      const page = await ledger.checkpoints({ scope, owner, prefix, limit, after })
      pages.push(...page.map(key))
      after = pages.at(-1)
      if (page.length < limit) break
    }
    const expected = all
      .filter((one) => within(scope, one.owner, one.name))
      .filter((one) => owner === undefined || one.owner.toLowerCase() === owner.toLowerCase())
      .filter((one) =>
        key(one)
          .toLowerCase()
          .startsWith((prefix ?? '').toLowerCase()),
      )
      .sort(byName)
    t.same(pages, expected.map(key), `${scope} ${owner ?? ''} ${prefix ?? ''}`)
  }
  const owners = fc.option(fc.constantFrom('ACME', 'acme2', 'a', 'nobody'), { nil: undefined })
  const prefixes = fc.option(
    fc.constantFrom('', 'a', 'AC', 'acme', 'acme/', 'acme/B', 'a/a', '%', '_', 'z_z/a_', 'é'),
    { nil: undefined },
  )
  const limits = fc.integer({ min: 1, max: 12 })
  await fc.assert(fc.asyncProperty(scopes, owners, prefixes, limits, property), { numRuns: 200 })
})
