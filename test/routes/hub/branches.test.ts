import t from 'tap'
import { startServer } from '../../helpers/server.ts'
import { type Json, jsonOf, smallFile } from '../wire.ts'
import { auditOf, fileLine, header, lfsLine, pushing } from './pushing.ts'
import { refusal } from './repository.ts'

const server = await startServer(t)
const { request, token } = server
const writer = pushing(server, await token('writer', 'acme/*'))
const admin = pushing(server)

/** A repository of one commit; its commit. */
async function startRepo(repo: string): Promise<string> {
  await writer.create(repo)
  return writer.committed(repo, [header(), fileLine('README.md', `${repo}\n`)])
}

interface Refs {
  readonly branches: readonly Json[]
  readonly tags: readonly Json[]
}
async function refsOf(repo: string): Promise<Record<string, unknown>> {
  const answer = await writer.send('GET', `/api/models/${repo}/refs`)
  const { branches, tags } = (await answer.json()) as Refs
  return Object.fromEntries<unknown>(
    [...branches, ...tags].map(({ ref, targetCommit }) => [String(ref), targetCommit]),
  )
}
const tagsOf = async (repo: string): Promise<unknown> =>
  (await jsonOf(await request(`/v1/checkpoints/${repo}`)))['tags']

const branch = (method: string, repo: string, name: string, body?: unknown): Promise<Response> =>
  writer.send(method, `/api/models/${repo}/branch/${encodeURIComponent(name)}`, body)
const tag = (repo: string, rev: string, name: string): Promise<Response> =>
  writer.send('POST', `/api/models/${repo}/tag/${rev}`, { tag: name, message: 'for people' })
const untag = (repo: string, name: string): Promise<Response> =>
  writer.send('DELETE', `/api/models/${repo}/tag/${name}`)

t.test('a branch moves with what is committed to it, and leaves main where it is', async (t) => {
  const first = await startRepo('acme/branched')
  t.equal((await branch('POST', 'acme/branched', 'dev')).status, 200)
  const second = await writer.committed(
    'acme/branched',
    [header(), fileLine('config.json', '{}')],
    'dev',
  )
  t.strictSame(await refsOf('acme/branched'), {
    'refs/heads/main': first,
    'refs/heads/dev': second,
  })
  t.strictSame(await tagsOf('acme/branched'), { latest: 'r1', dev: 'r2' }, 'both are tags here')
  const siblings = async (rev: string): Promise<unknown> =>
    (await jsonOf(await writer.send('GET', `/api/models/acme/branched/revision/${rev}`)))[
      'siblings'
    ]
  t.match(await siblings('main'), [{ rfilename: 'README.md' }])
  t.match(await siblings('dev'), [{ rfilename: 'README.md' }, { rfilename: 'config.json' }])
  t.match(await siblings('refs%2Fheads%2Fdev'), { length: 2 })
})

t.test('a branch begins where it is told to, or at nothing', async (t) => {
  const first = await startRepo('acme/begun')
  const second = await writer.committed('acme/begun', [header(), fileLine('a.txt', 'a')])
  await branch('POST', 'acme/begun', 'old', { startingPoint: first })
  await branch('POST', 'acme/begun', 'new', { startingPoint: null })
  t.strictSame(await refsOf('acme/begun'), {
    'refs/heads/main': second,
    'refs/heads/old': first,
    'refs/heads/new': second,
  })
  const nowhere = await branch('POST', 'acme/begun', 'x', { startingPoint: 'nowhere' })
  await refusal(t, nowhere, 404, 'RevisionNotFound', 'NOT_FOUND')

  await writer.create('acme/hollow')
  t.equal((await branch('POST', 'acme/hollow', 'early')).status, 200)
  t.match(await refsOf('acme/hollow'), { 'refs/heads/early': '0'.repeat(40) })
  const made = await writer.committed('acme/hollow', [header(), fileLine('a.txt', 'a')], 'early')
  t.strictSame(await refsOf('acme/hollow'), {
    'refs/heads/main': '0'.repeat(40),
    'refs/heads/early': made,
  })
  t.strictSame(await tagsOf('acme/hollow'), { early: 'r1' })
})

t.test('a tag names a commit, through both APIs', async (t) => {
  const first = await startRepo('acme/tagged')
  t.equal((await tag('acme/tagged', 'main', 'v1')).status, 200)
  await writer.committed('acme/tagged', [header(), fileLine('a.txt', 'a')])
  t.equal((await tag('acme/tagged', first, 'first')).status, 200)
  t.strictSame(await tagsOf('acme/tagged'), { latest: 'r2', v1: 'r1', first: 'r1' })
  t.match(await refsOf('acme/tagged'), { 'refs/tags/v1': first, 'refs/tags/first': first })
  const told = await writer.send('GET', '/api/models/acme/tagged/revision/v1')
  t.equal(told.headers.get('x-checkpoint-version'), 'r1')
  await admin.send('PUT', '/v1/checkpoints/acme/tagged/tags/native', { ref: 'v1' })
  t.match(await refsOf('acme/tagged'), { 'refs/tags/native': first })

  const moved = await writer.commit('acme/tagged', [header(), fileLine('b.txt', 'b')], 'v1')
  t.match(await refusal(t, moved, 400, null, 'INVALID_REQUEST'), { error: /go to a branch/ })
  t.equal((await untag('acme/tagged', 'v1')).status, 200)
  await refusal(t, await untag('acme/tagged', 'v1'), 404, 'RevisionNotFound', 'NOT_FOUND')
  const gone = await writer.send('GET', '/api/models/acme/tagged/revision/v1')
  await refusal(t, gone, 404, 'RevisionNotFound', 'NOT_FOUND')
})

t.test('what is there already is a conflict', async (t) => {
  await startRepo('acme/twice')
  await branch('POST', 'acme/twice', 'dev')
  await tag('acme/twice', 'main', 'v1')
  for (const [what, answer] of [
    ['main', branch('POST', 'acme/twice', 'main')],
    ['latest', branch('POST', 'acme/twice', 'latest')],
    ['a branch', branch('POST', 'acme/twice', 'dev')],
    ['a tag', branch('POST', 'acme/twice', 'v1')],
    ['a version', branch('POST', 'acme/twice', 'r1')],
    ['a tag again', tag('acme/twice', 'main', 'v1')],
    ['a branch', tag('acme/twice', 'main', 'dev')],
    ['main', branch('DELETE', 'acme/twice', 'main')],
  ] as const)
    t.ok(await refusal(t, await answer, 409, null, 'VERSION_EXISTS'), what)
})

t.test('a tag is no branch and a branch is no tag to what deletes them', async (t) => {
  await startRepo('acme/kinds')
  await branch('POST', 'acme/kinds', 'dev')
  await tag('acme/kinds', 'main', 'v1')
  const asBranch = await branch('DELETE', 'acme/kinds', 'v1')
  await refusal(t, asBranch, 404, 'RevisionNotFound', 'NOT_FOUND')
  const asTag = await untag('acme/kinds', 'dev')
  await refusal(t, asTag, 404, 'RevisionNotFound', 'NOT_FOUND')
  t.strictSame(await tagsOf('acme/kinds'), { latest: 'r1', dev: 'r1', v1: 'r1' })
  t.equal((await branch('DELETE', 'acme/kinds', 'dev')).status, 200)
  t.strictSame(await tagsOf('acme/kinds'), { latest: 'r1', v1: 'r1' })
})

t.test('names of branches and tags are those of tags', async (t) => {
  await startRepo('acme/named')
  for (const name of ['feat/x', '../x', 'a b', '-', 'ü', 'a'.repeat(200)]) {
    await refusal(t, await branch('POST', 'acme/named', name), 400, null, 'INVALID_NAME')
    await refusal(t, await tag('acme/named', 'main', name), 400, null, 'INVALID_NAME')
  }
  for (const name of ['main', 'HEAD'])
    await refusal(t, await tag('acme/named', 'main', name), 400, null, 'INVALID_NAME')
  await refusal(t, await tag('acme/named', 'main', 'latest'), 403, null, 'TAG_PROTECTED')
  t.strictSame(await tagsOf('acme/named'), { latest: 'r1' })
})

t.test('protected tags are an admin’s, as branches too, and trying is entered', async (t) => {
  await startRepo('acme/guarded')
  await branch('POST', 'acme/guarded', 'prod')
  await admin.send('PUT', '/v1/checkpoints/acme/guarded/policy', {
    protected_tags: ['prod*'],
    sidecars: true,
  })
  const lines = [header(), fileLine('a.txt', 'a')]
  for (const answer of [
    await tag('acme/guarded', 'main', 'prod-1'),
    await branch('POST', 'acme/guarded', 'prod-2'),
    await branch('DELETE', 'acme/guarded', 'prod'),
    await writer.commit('acme/guarded', lines, 'prod'),
  ])
    await refusal(t, answer, 403, null, 'TAG_PROTECTED')
  const entered = (await auditOf(server, 'refuse')).flatMap(({ subject, outcome }) =>
    String(subject).startsWith('acme/guarded') ? [`${String(subject)} ${String(outcome)}`] : [],
  )
  t.strictSame(entered, [
    'acme/guarded@prod-1 TAG_PROTECTED',
    'acme/guarded@prod-2 TAG_PROTECTED',
    'acme/guarded@prod TAG_PROTECTED',
    'acme/guarded@prod TAG_PROTECTED',
  ])
  t.strictSame(await tagsOf('acme/guarded'), { latest: 'r1', prod: 'r1' })
  t.equal((await admin.commit('acme/guarded', lines, 'prod')).status, 200)
})

t.test('who may not write changes nothing, wherever it reaches', async (t) => {
  await startRepo('acme/shut')
  for (const [role, scope] of [
    ['reader', '*'],
    ['auditor', '*'],
    ['detector', '*'],
    ['writer', 'other/*'],
  ] as const) {
    const other = pushing(server, await token(role, scope))
    for (const repo of ['acme/shut', 'acme/never-made'])
      for (const [method, path, body] of [
        ['POST', 'branch/x', undefined],
        ['DELETE', 'branch/x', undefined],
        ['POST', 'tag/main', { tag: 'x' }],
        ['DELETE', 'tag/x', undefined],
      ] as const) {
        const answer = await other.send(method, `/api/models/${repo}/${path}`, body)
        await refusal(t, answer, 403, null, 'FORBIDDEN')
      }
  }
  t.strictSame(await tagsOf('acme/shut'), { latest: 'r1' })
})

t.test('a version that is withdrawn is a revision that isn’t there', async (t) => {
  const first = await startRepo('acme/withdrawn')
  const second = await writer.committed('acme/withdrawn', [header(), fileLine('a.txt', 'a')])
  await admin.send('DELETE', '/v1/checkpoints/acme/withdrawn/r2', { reason: 'poisoned' })
  for (const rev of ['r2', second]) {
    const told = await writer.send('GET', `/api/models/acme/withdrawn/revision/${rev}`)
    t.match(await refusal(t, told, 410, 'RevisionNotFound', 'WITHDRAWN'), { error: /poisoned/ })
    const tagged = await tag('acme/withdrawn', rev, 'x')
    await refusal(t, tagged, 410, 'RevisionNotFound', 'WITHDRAWN')
  }
  t.match(await refsOf('acme/withdrawn'), { 'refs/heads/main': first })
  const next = await writer.committed('acme/withdrawn', [header(), fileLine('b.txt', 'b')])
  t.match(await refsOf('acme/withdrawn'), { 'refs/heads/main': next })
  const told = await writer.send('GET', '/api/models/acme/withdrawn')
  t.match(await jsonOf(told), { siblings: [{ rfilename: 'README.md' }, { rfilename: 'b.txt' }] })
  const lfs = [header(), lfsLine('x.safetensors', '0'.repeat(64))]
  t.equal((await writer.commit('acme/withdrawn', lfs)).status, 400)
  t.equal(
    (await writer.commit('acme/withdrawn', [header(), fileLine('c', smallFile())])).status,
    200,
  )
})

t.test(
  'the history of a branch tells of its commits, and that of `latest` of none of them',
  async (t) => {
    const repo = 'acme/told'
    await writer.create(repo)
    t.equal((await branch('POST', repo, 'dev')).status, 200, 'before there is anything')
    await writer.committed(repo, [header(), fileLine('README.md', 'main\n')])
    for (const text of ['one\n', 'two\n'])
      await writer.committed(repo, [header(), fileLine('README.md', text)], 'dev')
    const historyOf = async (name: string): Promise<unknown> =>
      (await jsonOf(await request(`/v1/checkpoints/${repo}/tags/${name}/history`)))['items']
    t.match(await historyOf('dev'), [
      { action: 'moved', version: 'r3' },
      { action: 'created', version: 'r2' },
      { action: 'created', version: null },
    ])
    t.match(await historyOf('latest'), [{ action: 'published', version: 'r1' }])
  },
)
