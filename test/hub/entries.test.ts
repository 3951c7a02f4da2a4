import fc from 'fast-check'
import t from 'tap'
import type { VersionFile } from '../../db/ledger.ts'
import { pageOf, placesIn } from '../../src/hub/entries.ts'

const fileAt = (path: string): VersionFile => ({
  path,
  blob: {
    id: 1,
    vaultId: '',
    sha256: '',
    size: 0,
    chunkSize: 1,
    kind: 'sidecar',
    state: 'sealed',
  },
  metadata: {},
  tensors: 0,
  parameters: 0,
})
const inByteOrder = (paths: readonly string[]): readonly string[] =>
  [...paths].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))

const somePath = fc
  .array(fc.constantFrom('a', 'b', 'a-b', 'z', '\u{1f600}', '\uff5e'), {
    minLength: 1,
    maxLength: 4,
  })
  .map((parts) => `${parts.join('/')}.json`)

t.test('places come in git’s order, and pages of any size hold them all', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(somePath), fc.nat(4), async (paths, extra) => {
      const places = await placesIn(inByteOrder(paths).map(fileAt), '', true)
      const keys = places.map(({ path, file }) => (file === undefined ? `${path}/` : path))
      t.strictSame(keys, inByteOrder(keys))
      const seen = []
      for (let after: string | undefined, more = true; more;) {
        const { page, next } = pageOf(places, after, 1 + extra)
        seen.push(...page)
        after = next
        more = next !== undefined
      }
      t.strictSame(seen, places)
    }),
  )
})

t.test('a page goes on where the place before it is gone', async (t) => {
  const places = await placesIn(['a', 'c', 'd'].map(fileAt), '', false)
  t.match(pageOf(places, 'b', 1), { page: [{ path: 'c' }], next: 'c' })
  t.match(pageOf(places, 'x', 1), { page: { length: 0 }, next: undefined })
})

t.test('a directory holds what lies right in it', async (t) => {
  const files = ['a/b/c', 'a/d', 'ab/e'].map(fileAt)
  const pathsIn = async (directory: string, recursive = false) =>
    (await placesIn(files, directory, recursive)).map(({ path }) => path)
  t.same(await pathsIn(''), ['a', 'ab'])
  t.same(await pathsIn('a'), ['a/b', 'a/d'])
  t.same(await pathsIn('a', true), ['a/b', 'a/b/c', 'a/d'])
  await t.rejects(pathsIn('a/d'), { code: 'NOT_FOUND' })
})
