import t from 'tap'
import { EMPTY_COMMIT } from '../../src/hub/revision.ts'
import { parseCheckpointName } from '../../src/registry/names.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import {
  type Asked,
  BERT,
  digestOf,
  gone,
  goneFolder,
  header,
  large,
  openRegistry,
  text,
  weights,
} from './registry.ts'

const A = weights('a')
const B = weights('b')
const hex = (content: string): string => digestOf(Buffer.from(content))
const invalid = { code: 'INVALID_REQUEST' }

t.test('a commit keeps the files of the version before it, less what it deletes', async (t) => {
  const { stage, commit, filesAt, ledger } = await openRegistry(t)
  await stage(A)
  const first = await commit([
    header(undefined, 'first'),
    large('model.safetensors', A),
    text('config.json', '{}'),
    text('logs/a.txt', 'a'),
    text('logs/deep/b.txt', 'b'),
    text('logs.md', 'kept'),
  ])
  t.match(first, { outcome: 'created', version: 'r1', commit: /^[0-9a-f]{40}$/ })
  const second = await commit([
    header(first.commit, 'second'),
    goneFolder('logs'),
    text('config.json', '{"a":1}'),
    text('README.md', 'hello'),
  ])
  t.match(second, { outcome: 'created', version: 'r2' })
  t.same(await filesAt('latest'), {
    'README.md': hex('hello'),
    'config.json': hex('{"a":1}'),
    'logs.md': hex('kept'),
    'model.safetensors': digestOf(A),
  })
  const head = await ledger.resolve('acme', 'bert', 'latest')
  const history = await ledger.history(head?.version.id ?? 0, { skip: 0, limit: 10 })
  t.match(history, [
    { version: 'r2', summary: 'second' },
    { version: 'r1', summary: 'first' },
  ])
  t.equal(history.length, 2)
})

t.test('operations are done in the order in which they stand', async (t) => {
  const { commit, filesAt } = await openRegistry(t)
  const begin = [header(), text('a.json', '1'), text('b.json', '2')]
  await commit(begin)
  const orders: readonly (readonly [string, readonly Asked[], Record<string, string>])[] = [
    ['deleted, then put', [gone('a.json'), text('a.json', '9')], { a: '9', b: '2' }],
    ['put, then deleted', [text('a.json', '8'), gone('a.json')], { b: '2' }],
    ['put twice', [text('a.json', '5'), text('a.json', '6')], { a: '6', b: '2' }],
    ['all deleted, then one put', [goneFolder('/'.slice(1)), text('c.json', '3')], { c: '3' }],
  ]
  for (const [what, asked, expected] of orders) {
    await commit([header(), goneFolder('.'), ...begin.slice(1)])
    await commit([header(), ...asked])
    const digests = Object.entries(expected).map(([name, one]) => [`${name}.json`, hex(one)])
    t.same(await filesAt('latest'), Object.fromEntries(digests), what)
  }
})

t.test('a commit that changes nothing is the commit that is there', async (t) => {
  const { commit, ledger } = await openRegistry(t)
  const first = await commit([header(), text('a.json', '1'), text('b.json', '2')])
  for (const asked of [
    [header(first.commit)],
    [header(), text('a.json', '1')],
    [header(), gone('a.json'), text('a.json', '1')],
    [header(), goneFolder('none')],
  ])
    t.same(await commit(asked), { ...first, outcome: 'unchanged' })
  t.equal((await ledger.checkpoint('acme', 'bert'))?.versions.length, 1)
})

t.test('what can’t be done is refused, and nothing changes', async (t) => {
  const { stage, commit, ledger, staged } = await openRegistry(t, { STRONGROOM_MAX_FILES: '3' })
  const [only] = [await commit([header(), text('a.json', '1')])]
  const foreign = weights('of nobody')
  const index = (file: string) =>
    text('m.safetensors.index.json', JSON.stringify({ weight_map: { w: file } }))
  await stage(A)
  const refused: readonly (readonly [string, readonly Asked[], { code: string | RegExp }])[] = [
    ['no lines', [], invalid],
    ['no header', [text('a.json', '2')], invalid],
    ['two headers', [header(), header()], invalid],
    ['a header at the end', [text('a.json', '2'), header()], invalid],
    ['a file that is not there', [header(), gone('none.json')], { code: 'NOT_FOUND' }],
    ['a file deleted twice', [header(), gone('a.json'), gone('a.json')], { code: 'NOT_FOUND' }],
    ['a folder as a file', [header(), gone('')], { code: 'NOT_FOUND' }],
    ['nothing left', [header(), gone('a.json')], invalid],
    ['never uploaded', [header(), large('m.safetensors', foreign)], invalid],
    ['weights as text', [header(), large('b.json', A)], invalid],
    ['a pickle’s name', [header(), large('pytorch_model.bin', A)], invalid],
    ['a program', [header(), text('train.py', 'print()')], invalid],
    ['bad JSON', [header(), text('b.json', '{')], { code: 'INVALID_SAFETENSORS' }],
    ['a pickle as text', [header(), text('b.txt', '\x80\x04K\x01.')], { code: /./ }],
    [
      'too many at once',
      [header(), ...['b', 'c', 'd', 'e'].map((name) => text(`${name}.json`, '1'))],
      { code: 'TOO_LARGE' },
    ],
    [
      'too many together',
      [header(), ...['b', 'c', 'd'].map((name) => text(`${name}.json`, '1'))],
      { code: 'TOO_LARGE' },
    ],
    ['a shard that is missing', [header(), large('m.safetensors', A), index('n')], invalid],
    ['an index alone', [header(), index('m.safetensors')], invalid],
    ['another parent', [header('abcdef0'), text('b.json', '1')], { code: 'PRECONDITION_FAILED' }],
    ['no parent', [header(EMPTY_COMMIT), text('b.json', '1')], { code: 'PRECONDITION_FAILED' }],
  ]
  for (const [what, asked, error] of refused) await t.rejects(commit(asked), error, what)
  t.same((await ledger.resolve('acme', 'bert', 'latest'))?.version.version, only.version)
  t.equal((await ledger.checkpoint('acme', 'bert'))?.versions.length, 1)
  t.same(await staged(), [])
  const whole = [header(), large('m.safetensors', A), index('m.safetensors')]
  t.match(await commit(whole), { outcome: 'created', version: 'r2' })
  t.match(
    await commit([header(), gone('m.safetensors')]).catch((error: unknown) => error),
    invalid,
    'nor is a shard deleted that the index names',
  )
})

t.test('what is refused names the file', async (t) => {
  const { commit } = await openRegistry(t)
  const refusal = commit([header(), large('deep/model.safetensors', A)])
  t.match(await refusal.catch((error: unknown) => error), {
    facts: { errors: [{ field: 'deep/model.safetensors:', detail: /never uploaded/ }] },
  })
})

t.test('labels count on, past names that are taken', async (t) => {
  const { commit, ledger, admin, strongroom, stage } = await openRegistry(t)
  const { tokenId } = admin
  const change = { tokenId, roles: ['admin'], address: undefined, ...BERT } as const
  const naming = { rolesIfProtected: [], isProtected: false, expected: undefined } as const
  await ledger.startBranch({ ...change, ...naming, tag: 'r1' })
  t.match(await commit([header(), text('a.json', '1')]), { version: 'r2' })
  await ledger.moveTag({ ...change, ...naming, tag: 'r3', ref: 'latest' })
  t.match(await commit([header(), text('a.json', '2')]), { version: 'r4' })
  await stage(A)
  await strongroom.publish({
    principal: admin,
    address: undefined,
    checkpoint: BERT,
    version: 'r5' as never,
    files: (async function* () {})(),
    facts: () => ({
      metadata: {},
      expected: new Map(),
      held: [{ path: 'm.safetensors' as never, sha256: digestOf(A) }],
    }),
  })
  t.match(await commit([header(), text('a.json', '3')]), { version: 'r6' })
})

t.test('a branch is committed to by itself, and a tag or a version never', async (t) => {
  const { commit, ledger, admin, filesAt } = await openRegistry(t)
  const actor = { tokenId: admin.tokenId, roles: ['admin'], address: undefined } as const
  const naming = { rolesIfProtected: [], isProtected: false, expected: undefined } as const
  const change = { ...actor, ...naming, ...BERT }
  await ledger.startBranch({ ...change, tag: 'new' })
  t.match(await commit([header(EMPTY_COMMIT), text('n.json', '1')], { revision: 'new' }), {
    version: 'r1',
  })
  t.same(await filesAt('latest'), {}, 'main has nothing yet')
  const first = await commit([header(EMPTY_COMMIT), text('a.json', '1')])
  await ledger.moveTag({ ...change, tag: 'dev', ref: 'latest', kind: 'branch' })
  await ledger.moveTag({ ...change, tag: 'v1', ref: 'latest' })
  await commit([header(first.commit), text('b.json', '2')], { revision: 'refs/heads/dev' })
  t.same(Object.keys(await filesAt('dev')), ['a.json', 'b.json'])
  t.same(Object.keys(await filesAt('latest')), ['a.json'])
  for (const revision of ['v1', 'r1', first.commit])
    await t.rejects(commit([header(), text('c.json', '1')], { revision }), invalid, revision)
  for (const revision of ['none', 'refs/pr/1', 'a/b'])
    await t.rejects(commit([header()], { revision }), { code: 'NOT_FOUND' }, revision)
  const nowhere = parseCheckpointName('acme', 'none')
  await t.rejects(commit([header()], { checkpoint: nowhere }), { code: 'NOT_FOUND' })
})

t.test('files that one token uploaded are no other’s to commit', async (t) => {
  const { stage, commit, principal, create } = await openRegistry(t)
  const [one, other] = [await principal('one'), await principal('other')]
  await stage(A, { principal: one })
  const asked = [header(), large('m.safetensors', A)]
  await t.rejects(commit(asked, { as: other }), invalid)
  const bart = parseCheckpointName('acme', 'bart')
  await create(bart)
  await t.rejects(commit(asked, { as: one, checkpoint: bart }), invalid)
  t.match(await commit(asked, { as: one }), { outcome: 'created' })
  t.match(
    await commit(asked, { as: other, checkpoint: bart }),
    { outcome: 'created' },
    'read by all',
  )
})

t.test('where the policy admits no sidecars none is taken', async (t) => {
  const { stage, commit, ledger, admin } = await openRegistry(t)
  const change = { tokenId: admin.tokenId, roles: ['admin'], address: undefined } as const
  const set = (sidecars: boolean) =>
    ledger.setPolicy({ ...change, ...BERT, rules: { sidecars }, mustResolve: undefined })
  await commit([header(), text('config.json', '{}')])
  await set(false)
  await stage(A)
  await t.rejects(commit([header(), text('config.json', '{}')]), invalid)
  await t.rejects(
    commit([header(), large('m.safetensors', A)]),
    invalid,
    'nor is one kept from the version before',
  )
  const bare = [header(), gone('config.json'), large('m.safetensors', A)]
  t.match(await commit(bare), { outcome: 'created' })
})

t.test('a policy that is changed while a commit comes in holds for it', async (t) => {
  const { hub, ledger, admin, address, staged } = await openRegistry(t)
  const change = { tokenId: admin.tokenId, roles: ['admin'], address: undefined } as const
  async function* lines(): AsyncGenerator<Asked> {
    yield header()
    yield text('config.json', '{}')
    await ledger.setPolicy({
      ...change,
      ...BERT,
      rules: { sidecars: false },
      mustResolve: undefined,
    })
  }
  const committing = hub.commit({
    principal: admin,
    address,
    checkpoint: BERT,
    revision: 'main',
    lines: lines(),
  })
  await t.rejects(committing, invalid)
  t.equal(await ledger.resolve('acme', 'bert', 'latest'), undefined)
  t.same(await staged(), [])
})

t.test('words of any length are kept in bounds', async (t) => {
  const { hub, ledger, admin, address } = await openRegistry(t)
  async function* lines(): AsyncGenerator<Asked> {
    yield await Promise.resolve({
      key: 'header',
      summary: `${'s'.repeat(999)}\u{1f600}`,
      description: 'd'.repeat(70_000),
      parentCommit: undefined,
    })
    yield text('a.json', '1')
  }
  const request = { principal: admin, address, checkpoint: BERT, revision: 'main' }
  await hub.commit({ ...request, lines: lines() })
  const head = await ledger.resolve('acme', 'bert', 'latest')
  const [entry] = await ledger.history(head?.version.id ?? 0, { skip: 0, limit: 1 })
  t.same([entry?.summary.length, entry?.description.length], [1000, 60_000])
  t.ok(entry?.summary.isWellFormed())
})

t.test('thousands of folders to delete hold nobody up', async (t) => {
  const { commit } = await openRegistry(t, { STRONGROOM_MAX_FILES: '1000' })
  const files = Array.from({ length: 60 }, (_, i) => text(`${i}.json`, '1'))
  await commit([header(), ...files])
  let turns = 0
  const count = (): void => {
    turns += 1
    next = setImmediate(count)
  }
  let next = setImmediate(count)
  const folders = Array.from({ length: 20_000 }, (_, i) => goneFolder(`folder${i}`))
  t.match(await commit([header(), ...folders]), { outcome: 'unchanged' })
  clearImmediate(next)
  t.ok(turns > 20, `${turns} turns`)
})

// Asked of a real tensor, not of bytes that a test made up.
t.test('weights that two paths name are stored once', async (t) => {
  const { stage, commit, filesAt, blobs } = await openRegistry(t)
  const bytes = writeSafetensors([{ name: 'w', dtype: 'F32', shape: [1], bytes: Buffer.alloc(4) }])
  await stage(bytes)
  await commit([header(), large('a.safetensors', bytes), large('b.safetensors', bytes)])
  t.equal(Object.keys(await filesAt('latest')).length, 2)
  t.equal((await blobs()).length, 1)
  await stage(B)
  t.equal((await blobs()).length, 2)
})
