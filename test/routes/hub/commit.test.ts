import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { call, deface, head, MIB, shout, staged, whereInVault } from '../../attacks/hostile.ts'
import { ADMIN, startServer } from '../../helpers/server.ts'
import { type Json, jsonOf, smallFile } from '../wire.ts'
import { auditOf, fileLine, header, lfsLine, ndjson, PICKLE, pushing, sha256 } from './pushing.ts'
import { refusal } from './repository.ts'

const server = await startServer(t)
const { request, token, url } = server
const secret = await token('writer', 'acme/*')
const writer = pushing(server, secret)

const describe = async (repo: string): Promise<Json> =>
  jsonOf(await request(`/v1/checkpoints/${repo}`))
const filesAt = async (repo: string, rev = 'main'): Promise<unknown> => {
  const told = await jsonOf(await writer.send('GET', `/api/models/${repo}/revision/${rev}`))
  return (told['siblings'] as readonly Json[]).map(({ rfilename }) => rfilename)
}

t.test('a commit becomes a version, the same through both APIs', async (t) => {
  await writer.create('acme/bert')
  const weights = smallFile(1)
  const oid = await writer.upload('acme/bert', weights)
  const answer = await writer.commit('acme/bert', [
    header({ summary: 'the first', description: 'of many' }),
    lfsLine('model.safetensors', oid),
    fileLine('config.json', '{"a": 1}'),
  ])
  t.equal(answer.status, 200)
  const body = await jsonOf(answer)
  const { commitOid } = body
  t.strictSame(body, {
    success: true,
    commitOid,
    commitUrl: `${url}/acme/bert/commit/${String(commitOid)}`,
    hookOutput: '',
  })
  t.match(commitOid, /^[0-9a-f]{40}$/)
  t.equal(answer.headers.get('x-checkpoint-version'), 'r1')
  t.match(answer.headers.get('x-checkpoint-revision'), RegExp(`^${String(commitOid)}`))

  const native = await jsonOf(await request('/v1/checkpoints/acme/bert/latest'))
  t.match(native, { version: 'r1', revision: RegExp(`^${String(commitOid)}`), tags: ['latest'] })
  t.match(native['files'], [{ path: 'config.json' }, { path: 'model.safetensors', sha256: oid }])
  const commits = await writer.send('GET', '/api/models/acme/bert/commits/main')
  t.match(await jsonOf(commits), [{ id: commitOid, title: 'the first', message: 'of many' }])
  t.match(await auditOf(server, 'publish'), [
    { subject: 'acme/bert@r1', outcome: 'ok', revision: native['revision'] },
  ])
  const metrics = await (await request('/metrics')).text()
  t.match(metrics, /strongroom_publishes_total\{outcome="created"\} 1/)
  t.notMatch(JSON.stringify(server.log()), secret)
})

t.test('it builds on the version before: what it doesn’t name stays', async (t) => {
  await writer.create('acme/built')
  await writer.committed('acme/built', [
    header(),
    fileLine('a/one.txt', '1'),
    fileLine('a/two.txt', '2'),
    fileLine('b.txt', 'b'),
  ])
  await writer.committed('acme/built', [header(), { key: 'deletedFile', value: { path: 'b.txt' } }])
  t.strictSame(await filesAt('acme/built'), ['a/one.txt', 'a/two.txt'])
  await writer.committed('acme/built', [
    header(),
    { key: 'deletedFolder', value: { path: 'a/' } },
    fileLine('c.txt', 'c'),
  ])
  t.strictSame(await filesAt('acme/built'), ['c.txt'])
  const same = await writer.commit('acme/built', [header(), fileLine('c.txt', 'c')])
  t.equal(same.headers.get('x-checkpoint-version'), 'r3', 'what changes nothing makes nothing')
  const missing = [header(), { key: 'deletedFile', value: { path: 'b.txt' } }]
  await refusal(t, await writer.commit('acme/built', missing), 404, 'EntryNotFound', 'NOT_FOUND')
  const all = [header(), { key: 'deletedFolder', value: { path: '/' } }]
  const none = await refusal(
    t,
    await writer.commit('acme/built', all),
    400,
    null,
    'INVALID_REQUEST',
  )
  t.match(none, { error: /at least one file/ })
  t.match(await describe('acme/built'), { tags: { latest: 'r3' } })
})

t.test('labels that are taken are not taken again', async (t) => {
  await server.put('acme/labelled/r2', smallFile(1))
  await request('/v1/checkpoints/acme/labelled/policy', {
    token: 'sr_the-admin-token-of-the-tests-0123456789',
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: '{"sidecars": true}',
  })
  const made = await writer.commit('acme/labelled', [header(), fileLine('a.txt', 'a')])
  t.equal(made.headers.get('x-checkpoint-version'), 'r3')
  t.strictSame(await filesAt('acme/labelled'), ['a.txt', 'model.safetensors'])
})

t.test('a commit with a parent lands right upon it or not at all', async (t) => {
  await writer.create('acme/parents')
  const lines = (parentCommit: string, path: string) => [
    header({ parentCommit }),
    fileLine(path, path),
  ]
  const early = await writer.commit('acme/parents', lines('1'.repeat(40), 'a.txt'))
  await refusal(t, early, 412, null, 'PRECONDITION_FAILED')
  const first = await writer.committed('acme/parents', lines('0'.repeat(40), 'a.txt'))
  const second = await writer.committed('acme/parents', lines(first.slice(0, 7), 'b.txt'))
  const late = await writer.commit('acme/parents', lines(first, 'late.txt'))
  const told = await refusal(t, late, 412, null, 'PRECONDITION_FAILED')
  t.match(told, { current: second, error: /moved on/ })
  for (const parent of ['xyz', first.slice(0, 6), `${first}${first}`, 5])
    await refusal(
      t,
      await writer.commit('acme/parents', [header({ parentCommit: parent })]),
      400,
      null,
      'INVALID_REQUEST',
    )
  const answers = await Promise.all(
    ['x', 'y', 'z'].map((path) => writer.commit('acme/parents', lines(second, `${path}.txt`))),
  )
  t.strictSame(answers.map(({ status }) => status).sort(), [200, 412, 412], 'one wins')
})

t.test('commits at the same time all land where they name no parent', async (t) => {
  await writer.create('acme/busy')
  const paths = Array.from({ length: 8 }, (_, i) => `${10 + i}.txt`)
  const answers = await Promise.all(
    paths.map((path) => writer.commit('acme/busy', [header(), fileLine(path, path)])),
  )
  t.ok(answers.every(({ status }) => status === 200))
  t.strictSame(await filesAt('acme/busy'), paths)
  const versions = answers.map(({ headers }) => headers.get('x-checkpoint-version'))
  t.equal(new Set(versions).size, paths.length)
})

t.test('all that a commit names is there and right, or nothing changes', async (t) => {
  await writer.create('acme/whole')
  const held = await writer.upload('acme/whole', smallFile(2))
  await writer.committed('acme/whole', [header(), lfsLine('model.safetensors', held)])
  const before = await describe('acme/whole')
  const good = fileLine('good.txt', 'good')
  const never = sha256(Buffer.from('never uploaded'))
  const text = await writer.committed('acme/parents', [header(), fileLine('held.txt', 'held')])
  t.ok(text)
  for (const [what, lines, status, wanted] of [
    ['never uploaded', [lfsLine('a.safetensors', never)], 400, /a\.safetensors: its content/],
    ['weights as JSON', [lfsLine('config.json', held)], 400, /another kind/],
    ['no hash', [lfsLine('a.safetensors', 'x')], 400, /./],
    ['a program', [fileLine('modeling.py', 'x')], 400, /modeling\.py: programs/],
    ['a program by LFS', [lfsLine('modeling.py', held)], 400, /modeling\.py: programs/],
    ['a pickle', [fileLine('config.json', PICKLE)], 422, /config\.json: .*pickle/],
    ['a pickle as weights', [fileLine('a.safetensors', PICKLE)], 422, /a\.safetensors: .*pickle/],
    ['by its name', [fileLine('training_args.bin', 'x')], 400, /training_args\.bin: .*pickle/],
    ['no JSON', [fileLine('config.json', '{')], 422, /config\.json: /],
    ['climbing', [fileLine('../config.json', '{}')], 400, /config\.json/],
    ['climbing by LFS', [lfsLine('a/../../x.safetensors', held)], 400, /x\.safetensors/],
    ['an absolute path', [fileLine('/etc/passwd.txt', 'x')], 400, /passwd/],
    ['a key that isn’t known', [{ key: 'copyFile', value: {} }], 400, /key/],
    ['another header', [header()], 400, /two headers/],
    [
      'no base64',
      [{ key: 'file', value: { path: 'a.txt', content: '**', encoding: 'base64' } }],
      400,
      /base64/,
    ],
    [
      'an encoding',
      [{ key: 'file', value: { path: 'a.txt', content: 'a', encoding: 'utf-8' } }],
      400,
      /encoding/,
    ],
    [
      'an algorithm',
      [{ key: 'lfsFile', value: { path: 'a', oid: held, algo: 'md5' } }],
      400,
      /algorithm/,
    ],
    ['a path that is none', [{ key: 'file', value: { path: 5, content: '' } }], 400, /path/],
  ] as const) {
    const answer = await writer.commit('acme/whole', [header(), good, ...lines])
    t.equal(answer.status, status, what)
    t.match(await jsonOf(answer), { error: wanted }, what)
  }
  for (const path of ['../../etc', '..', 'none', './model.safetensors']) {
    const deleted = [header(), good, { key: 'deletedFile', value: { path } }]
    await refusal(t, await writer.commit('acme/whole', deleted), 404, 'EntryNotFound', 'NOT_FOUND')
  }
  t.strictSame(await describe('acme/whole'), before)
  t.strictSame(staged(server), [])
})

t.test('a file where another needs a folder is refused', async (t) => {
  await writer.create('acme/folders')
  await writer.committed('acme/folders', [header(), fileLine('README', 'text')])
  const below = [header(), fileLine('README/notes.md', 'text')]
  const refused = await writer.commit('acme/folders', below)
  const { error } = await refusal(t, refused, 400, null, 'INVALID_REQUEST')
  t.match(error, /README\/notes\.md: needs a folder where README is a file/)
})

t.test('sidecars of before that the policy admits no more are named', async (t) => {
  await writer.create('acme/stricter')
  await writer.committed('acme/stricter', [header(), fileLine('config.json', '{}')])
  const path = '/v1/checkpoints/acme/stricter/policy'
  const headers = { 'content-type': 'application/json' }
  await request(path, { token: ADMIN, method: 'PUT', headers, body: '{"sidecars": false}' })
  const oid = await writer.upload('acme/stricter', smallFile(77))
  const weights = lfsLine('model.safetensors', oid)
  const refused = await writer.commit('acme/stricter', [header(), weights])
  t.match(await refusal(t, refused, 400, null, 'INVALID_REQUEST'), {
    error: /config\.json: .*left out/,
  })
  const gone = { key: 'deletedFile', value: { path: 'config.json' } }
  await writer.committed('acme/stricter', [header(), weights, gone])
  t.same(await filesAt('acme/stricter'), ['model.safetensors'])
})

t.test('lines that are cut, or no lines, are refused', async (t) => {
  await writer.create('acme/lines')
  const whole = ndjson([header(), fileLine('a.txt', 'hello')])
  for (const [what, body] of [
    ['nothing', ''],
    ['blank', '\n\n'],
    ['in the middle of a line', whole.slice(0, -20)],
    ['in the middle of a string', whole.slice(0, whole.indexOf('hello') - 3)],
    ['no header', ndjson([fileLine('a.txt', 'a')])],
    ['a list', `[${whole.replace('\n', ',')}]`],
    ['null', 'null\n'],
    ['a number', '5\n'],
    ['a line of words', `${whole}hello\n`],
    ['NUL', `${whole}\0\n`],
    ['no value', '{"key":"header"}\n'],
    ['nested too deep', `${ndjson([header()])}${'['.repeat(200_000)}\n`],
    ['one long line', `${ndjson([header()])}{"key":"${' '.repeat(300_000)}`],
  ] as const)
    t.match(
      await refusal(t, await writer.commit('acme/lines', body), 400, null, 'INVALID_REQUEST'),
      { error: /./ },
      what,
    )
  t.match(await describe('acme/lines'), { versions: [] })
  t.equal((await writer.commit('acme/lines', whole.slice(0, -1))).status, 200, 'no last newline')
})

t.test('10,000 files are more than a version has', async (t) => {
  await writer.create('acme/many')
  const oid = await writer.upload('acme/many', smallFile(4))
  const many = (count: number) =>
    Array.from({ length: count }, (_, i) => lfsLine(`${i}.safetensors`, oid))
  const answer = await writer.commit('acme/many', [header(), ...many(10_000)])
  t.match(await refusal(t, answer, 413, null, 'TOO_LARGE'), { limit: 1000 })
  const deleted = Array.from({ length: 10_000 }, () => ({
    key: 'deletedFolder',
    value: { path: 'none' },
  }))
  const lines = await writer.commit('acme/many', [header(), ...deleted])
  await refusal(t, lines, 413, null, 'TOO_LARGE')
  t.equal((await writer.commit('acme/many', [header(), ...many(1000)])).status, 200)
  const more = await writer.commit('acme/many', [header(), lfsLine('more.safetensors', oid)])
  await refusal(t, more, 413, null, 'TOO_LARGE')
})

t.test('a README of 100 MB is refused long before all of it is here', async (t) => {
  await writer.create('acme/long')
  let taken = 0
  async function* body(): AsyncGenerator<Uint8Array, void, undefined> {
    yield Buffer.from(
      `${ndjson([header()])}{"key":"file","value":{"path":"README.md","encoding":"base64","content":"`,
    )
    for (; taken < 134 * MIB; taken += MIB) yield Buffer.alloc(MIB, 'QUFB')
    yield Buffer.from('"}}\n')
  }
  const rss = process.memoryUsage().rss
  const answer = await request('/api/models/acme/long/commit/main', {
    token: secret,
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: body(),
    duplex: 'half',
  })
  t.match(await refusal(t, answer, 413, null, 'TOO_LARGE'), { limit: 32 * MIB })
  t.ok(taken < 120 * MIB)
  t.ok(process.memoryUsage().rss - rss < 200 * MIB, 'and it was never in memory')
  while (staged(server).length > 0) await fetch(`${url}/livez`)
  t.match(await describe('acme/long'), { versions: [] })
})

t.test('a body that breaks off leaves nothing', async (t) => {
  await writer.create('acme/broken')
  const line = head(
    'POST /api/models/acme/broken/commit/main',
    'Content-Type: application/x-ndjson',
    'Transfer-Encoding: chunked',
  )
  const start = `${ndjson([header()])}{"key":"file","value":{"path":"a.txt","content":"${'QUFB'.repeat(50_000)}`
  const broken = call(server)
  await broken.send(line, `${start.length.toString(16)}\r\n${start}\r\n`)
  while (staged(server).length === 0) await fetch(`${url}/livez`)
  broken.hangUp()
  while (staged(server).length > 0) await fetch(`${url}/livez`)
  t.match(await describe('acme/broken'), { versions: [] })
})

t.test('who may not commit is refused before a byte of the body is asked for', async (t) => {
  await writer.create('acme/shut')
  const before = await describe('acme/shut')
  for (const [role, scope] of [
    ['reader', '*'],
    ['auditor', '*'],
    ['detector', '*'],
    ['writer', 'other/*'],
  ] as const) {
    const by = await token(role, scope)
    for (const repo of ['acme/shut', 'acme/none']) {
      const lines = [header(), fileLine('a.txt', 'a')]
      const answer = await pushing(server, by).commit(repo, lines)
      await refusal(t, answer, 403, null, 'FORBIDDEN')
      const waiting = [
        `POST /api/models/${repo}/commit/main HTTP/1.1`,
        'Host: x',
        `Authorization: Bearer ${by}`,
        'Content-Type: application/x-ndjson',
        'Content-Length: 100',
        'Expect: 100-continue',
        '',
        '',
      ]
      t.match(await shout(server, waiting.join('\r\n')), /^HTTP\/1.1 403 /)
    }
  }
  const strong = pushing(server, await token('writer'))
  const own = await strong.commit('strongroom/pii', [header(), fileLine('a.txt', 'a')])
  t.equal(own.status, 403, 'whether or not it is there')
  await pushing(server).create('strongroom/pii')
  const tried = await strong.commit('strongroom/pii', [header(), fileLine('a.txt', 'a')])
  await refusal(t, tried, 403, null, 'FORBIDDEN')
  t.strictSame(await describe('acme/shut'), before)
  const entries = await auditOf(server, 'refuse')
  t.ok(
    entries.some(({ subject, outcome }) => subject === 'acme/shut@main' && outcome === 'FORBIDDEN'),
  )

  const nowhere = await writer.commit('acme/shut', [header()], 'nowhere')
  await refusal(t, nowhere, 404, 'RevisionNotFound', 'NOT_FOUND')
  const none = await writer.commit('acme/none', [header()])
  await refusal(t, none, 404, 'RepoNotFound', 'NOT_FOUND')
  const path = '/api/models/acme/shut/commit/main?create_pr=1'
  t.match(await refusal(t, await writer.send('POST', path), 400, null, 'INVALID_REQUEST'), {
    error: /no pull requests/,
  })
})

t.test(
  'damaged and lost bytes are no part of a new version, and can be brought anew',
  async (t) => {
    const repo = 'acme/worn'
    const [old, lost] = [smallFile(501), smallFile(502)]
    await writer.create(repo)
    const oid = await writer.upload(repo, old)
    await writer.committed(repo, [header(), lfsLine('model.safetensors', oid)])
    deface(await whereInVault(server, `${repo}/r1`), (all) => all.fill(0))
    await request(`/v1/checkpoints/${repo}/r1/verify`, { token: ADMIN, method: 'POST' })
    const beside = [header(), fileLine('notes.md', 'text')]
    const { error } = await refusal(
      t,
      await writer.commit(repo, beside),
      400,
      null,
      'INVALID_REQUEST',
    )
    t.match(error, /model\.safetensors: its stored bytes are damaged/)
    await writer.upload(repo, old)
    await writer.committed(repo, beside)

    const waiting = await writer.upload(repo, lost)
    t.notOk((await writer.placeOf(repo, lost)).actions, 'it is here')
    rmSync(newestIn(join(server.folder, 'data/vault/blobs')))
    t.ok((await writer.placeOf(repo, lost)).actions, 'it is not here any more')
    const named = [header(), lfsLine('other.safetensors', waiting)]
    await refusal(t, await writer.commit(repo, named), 400, null, 'INVALID_REQUEST')
    await writer.upload(repo, lost)
    await writer.committed(repo, named)
    const read = await writer.send('GET', `/${repo}/resolve/main/other.safetensors`)
    t.equal(sha256(Buffer.from(await read.arrayBuffer())), waiting)
  },
)

/** The file that was made last on any shelf. */
function newestIn(blobs: string): string {
  const files = readdirSync(blobs).flatMap((shelf) =>
    readdirSync(join(blobs, shelf)).map((name) => join(blobs, shelf, name)),
  )
  const age = (file: string): number => statSync(file).ctimeMs
  return files.sort((a, b) => age(b) - age(a))[0] ?? ''
}
