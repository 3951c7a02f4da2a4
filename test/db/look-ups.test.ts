import t from 'tap'
import { LEAVES_PER_PAGE } from '../../db/ledger.ts'
import { addToken, BERT, file, openAt, publication } from './fixture.ts'

t.test(
  'a ref is a full revision, then a version, a tag, a unique prefix of a revision',
  async (t) => {
    const ledger = await openAt(t, t.testdir())
    await addToken(ledger)
    const a = 'abcdef0123456' + '0'.repeat(51)
    const b = 'abcdef0123457' + 'f'.repeat(51)
    const publish = (version: string, revision: string) =>
      ledger.publish(publication(version, { revision }))
    await publish('1', a)
    await publish('abcdef0123456', b)
    const table = [
      [a, 'revision', '1'],
      [a.toUpperCase(), 'revision', '1'],
      ['1', 'version', '1'],
      ['abcdef0123456', 'version', 'abcdef0123456'],
      ['latest', 'tag', 'abcdef0123456'],
      ['ABCDEF01234560', 'prefix', '1'],
      [b.slice(0, 63), 'prefix', 'abcdef0123456'],
    ] as const
    for (const [ref, via, version] of table)
      t.match(await ledger.resolve('acme', 'bert', ref), { via, version: { version } }, ref)
    const nothing = ['abcdef012345', 'abcdef01234', `${a}0`, 'abcdef0123458', '2', '', 'Latest']
    for (const ref of nothing) t.equal(await ledger.resolve('acme', 'bert', ref), undefined, ref)
    t.equal(await ledger.resolve('acme', 'bart', a), undefined, 'of another checkpoint')
  },
)

t.test('leaves are read a page at a time', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  const size = LEAVES_PER_PAGE * 2 + 1
  const large = file('large', { size, chunkSize: 1 })
  const leaves = Buffer.from(large.blob.leaves)
  await ledger.publish(publication('1', { files: [large] }))
  const held = await ledger.blobHeldBy('t', large.sha256, BERT)
  const id = held?.blob.id ?? 0
  t.same(await ledger.blob(id), held?.blob)
  const pages = await Promise.all([0, 1, 2].map((page) => ledger.leafPage(id, page)))
  t.same(
    pages.map((page) => page?.length),
    [32_768, 32_768, 32],
  )
  t.ok(leaves.equals(Buffer.concat(pages.map((page) => page ?? Buffer.alloc(0)))))
  t.equal(await ledger.leafPage(id, 3), undefined)
  t.equal(await ledger.blob(id + 1), undefined)

  const small = file('large', { size, chunkSize: LEAVES_PER_PAGE })
  await ledger.publish(publication('1', { files: [small] }))
  t.equal((await ledger.leafPage(id, 0))?.length, 3 * 32)
  t.equal(await ledger.leafPage(id, 1), undefined, 'no page of the replaced copy stays')
})

t.test('tensors come in byte order of path and name, by prefix, page after page', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  const names = ['a%', 'a_b', 'aXb', 'A', 'a', 'é', '\u{1f600}', '\uffff', 'b', 'a%c', 'nul\0l']
  const tensors = names.map((name) => ({ name }))
  const files = ['x', 'y', 'z'].map((path) =>
    file(path, { path, tensors: path === 'y' ? [] : tensors }),
  )
  await ledger.publish(publication('1', { files }))
  const versionId = (await ledger.resolve('acme', 'bert', '1'))?.version.id ?? 0
  const inBytes = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
  const all = ['x', 'z'].flatMap((path) => inBytes.map((name) => ({ path, name })))

  const table = [
    [{}, all],
    [{ prefix: 'a' }, all.filter(({ name }) => name.startsWith('a'))],
    [{ prefix: 'a%' }, all.filter(({ name }) => name.startsWith('a%'))],
    [{ prefix: 'a_' }, all.filter(({ name }) => name.startsWith('a_'))],
    [{ prefix: '\uffff' }, all.filter(({ name }) => name.startsWith('\uffff'))],
    [{ prefix: 'nul\0' }, all.filter(({ name }) => name.startsWith('nul\0'))],
    [{ path: 'z' }, all.filter(({ path }) => path === 'z')],
    [{ path: 'y' }, []],
    [{ path: 'z', prefix: 'b' }, [{ path: 'z', name: 'b' }]],
    [{ prefix: 'none' }, []],
  ] as const
  for (const limit of [1, 2, 7, 100])
    for (const [query, expected] of table) {
      const found: { path: string; name: string }[] = []
      for (;;) {
        const page = await ledger.tensorsOf({ versionId, limit, after: found.at(-1), ...query })
        found.push(...page.map(({ path, name }) => ({ path, name })))
        if (page.length < limit) break
      }
      t.same(found, expected, `${JSON.stringify(query)} by ${limit}`)
    }
})

t.test('a checkpoint that is not there is undefined', async (t) => {
  const ledger = await openAt(t, t.testdir())
  t.equal(await ledger.checkpoint('acme', 'bert'), undefined)
  t.same(await ledger.checkpoints({ scope: '*', limit: 10 }), [])
  t.same(await ledger.filesOf(1), [])
  t.equal(await ledger.hasVaultId('x'), false)
})

t.test('a listing says how many versions there are and which is the latest', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  for (const version of ['2', '1']) await ledger.publish(publication(version))
  t.match(await ledger.checkpoints({ scope: '*', limit: 10 }), [
    { owner: 'acme', name: 'bert', versions: 2, latest: '1' },
  ])
})

t.test('tensors are found by their names in one file, whatever the names hold', async (t) => {
  const ledger = await openAt(t, t.testdir())
  await addToken(ledger)
  const named = ['__proto__', 'a', 'a\0b', '層', "'; DROP TABLE tensors"].map((name) => ({ name }))
  const files = [
    file('one', { path: 'one', tensors: named }),
    file('two', { path: 'two', tensors: [{ name: 'a', shape: [7] }] }),
  ]
  await ledger.publish(publication('1', { files }))
  const { version } = (await ledger.resolve('acme', 'bert', '1')) ?? {}
  const [one, two] = await ledger.filesOf(version?.id ?? 0)
  if (one === undefined || two === undefined) throw new Error('there are two files')
  for (const { name } of named)
    t.match(await ledger.tensorsNamed(one, [name]), [{ name, path: 'one', shape: [2, 3] }])
  t.match(await ledger.tensorsNamed(two, ['b', 'a', '層', 'A']), [{ name: 'a', path: 'two' }])
  t.strictSame(await ledger.tensorsNamed(two, ['a\0', '\ud800', '']), [])
  t.strictSame(await ledger.tensorsNamed(one, []), [])
})
