import t from 'tap'
import { startServer } from '../../helpers/server.ts'
import { type Json, jsonOf, smallFile } from '../wire.ts'
import { auditOf, header, lfsLine, pushing } from './pushing.ts'
import { refusal } from './repository.ts'

const server = await startServer(t)
const { request, token, url } = server
const admin = pushing(server)
const writer = pushing(server, await token('writer', 'acme/*'))

t.test('a repository is made once; whoever makes it again is told where it is', async (t) => {
  const made = await writer.create('acme/made')
  t.equal(made.status, 200)
  t.strictSame(await jsonOf(made), {
    url: `${url}/acme/made`,
    name: 'acme/made',
    id: 'acme/made',
  })
  const again = await refusal(t, await writer.create('ACME/Made'), 409, null, 'VERSION_EXISTS')
  t.match(again, {
    url: `${url}/acme/made`,
    id: 'acme/made',
    error: /You already created this model repo/,
  })
  t.equal((await server.put('acme/published/1.0', smallFile())).status, 201)
  t.equal((await writer.create('acme/published')).status, 409, 'nor one that was published to')
})

t.test('it is empty, and sidecars may be pushed to it', async (t) => {
  await writer.create('acme/empty')
  const told = await jsonOf(await writer.send('GET', '/api/models/acme/empty'))
  t.match(told, { id: 'acme/empty', sha: '0'.repeat(40), siblings: [] })
  t.match(await jsonOf(await request('/v1/checkpoints/acme/empty/policy')), { sidecars: true })
  t.match(await jsonOf(await request('/v1/checkpoints/acme/empty')), { versions: [], tags: {} })
})

t.test('what an owner’s policy says of sidecars holds for what is made below it', async (t) => {
  await admin.send('PUT', '/v1/owners/strict/policy', { sidecars: false })
  t.equal((await admin.create('strict/model')).status, 200)
  const policy = await jsonOf(await request('/v1/checkpoints/strict/model/policy'))
  t.match(policy, { sidecars: false })
})

t.test('a name without an owner is put below the caller’s own', async (t) => {
  t.match(await jsonOf(await writer.create('alone')), { id: 'acme/alone' })
  const named = await writer.send('POST', '/api/repos/create', {
    name: 'grouped',
    organization: 'acme',
    private: true,
    sdk: null,
  })
  t.match(await jsonOf(named), { id: 'acme/grouped' })
})

t.test('names and kinds that aren’t kept here are refused, with a sentence', async (t) => {
  for (const name of ['acme/../x', 'acme/a b', 'acme/ü', 'acme/', '/x', '', 'acme/a/b', 'v1/x'])
    await refusal(t, await writer.create(name), 400, null, 'INVALID_NAME')
  for (const type of ['dataset', 'space']) {
    const body = { name: 'acme/x', type }
    const answer = await writer.send('POST', '/api/repos/create', body)
    t.match(await refusal(t, answer, 400, null, 'INVALID_REQUEST'), { error: /models only/ })
  }
  const withFiles = { name: 'acme/x', files: [{ path: 'README.md', content: 'aGk=' }] }
  const answer = await writer.send('POST', '/api/repos/create', withFiles)
  t.match(await refusal(t, answer, 400, null, 'INVALID_REQUEST'), { error: /made empty/ })
  for (const body of [{}, { name: 5 }, [], null])
    await refusal(
      t,
      await writer.send('POST', '/api/repos/create', body),
      400,
      null,
      'INVALID_REQUEST',
    )
})

t.test('who may not make one is refused, and that is entered', async (t) => {
  const refused = await refusal(t, await writer.create('other/x'), 403, null, 'FORBIDDEN')
  t.match(refused, { error: /./ })
  t.match(await auditOf(server, 'refuse'), [
    { subject: 'other/x', outcome: 'FORBIDDEN', details: { route: '/api/repos/create' } },
  ])
  for (const role of ['reader', 'auditor', 'detector']) {
    const other = pushing(server, await token(role))
    await refusal(t, await other.create('acme/x'), 403, null, 'FORBIDDEN')
  }
  const all = pushing(server, await token('writer'))
  await refusal(t, await all.create('strongroom/x'), 403, null, 'FORBIDDEN')
  t.equal((await admin.create('strongroom/x')).status, 200, 'the server’s owner is the admins’')
  const nobody = { token: undefined, method: 'POST', body: '{}' }
  await refusal(t, await request('/api/repos/create', nobody), 401, null, 'UNAUTHENTICATED')
})

t.test('an admin deletes a repository: its versions are withdrawn', async (t) => {
  await writer.create('acme/doomed')
  const oid = await writer.upload('acme/doomed', smallFile(7))
  const line = lfsLine('model.safetensors', oid)
  const commit = await writer.committed('acme/doomed', [header(), line])
  const remove = (by: typeof admin, name: string): Promise<Response> =>
    by.send('DELETE', '/api/repos/delete', { name, type: 'model' })
  const kept = await refusal(t, await remove(writer, 'acme/doomed'), 403, null, 'FORBIDDEN')
  t.match(kept, { error: /Only an admin/ })
  await refusal(t, await remove(writer, 'other/x'), 403, null, 'FORBIDDEN')
  t.equal((await remove(admin, 'acme/doomed')).status, 200)
  await refusal(t, await remove(admin, 'acme/doomed'), 404, 'RepoNotFound', 'NOT_FOUND')
  await refusal(t, await remove(admin, 'acme/never'), 404, 'RepoNotFound', 'NOT_FOUND')

  const gone = [
    '/api/models/acme/doomed',
    '/api/models/acme/doomed/refs',
    '/api/models/acme/doomed/tree/main',
    '/acme/doomed/resolve/main/model.safetensors',
  ]
  for (const path of gone)
    await refusal(t, await writer.send('GET', path), 404, 'RepoNotFound', 'NOT_FOUND')
  const listed = await (await writer.send('GET', '/api/models?author=acme')).text()
  t.notMatch(listed, /doomed/)
  t.equal((await writer.batch('acme/doomed', [])).status, 404)
  t.equal((await writer.commit('acme/doomed', [header()])).status, 404)
  const native = await jsonOf(await request('/v1/checkpoints/acme/doomed/r1'))
  t.match(native, { code: 'WITHDRAWN', reason: 'The repository was deleted.' })
  t.match(await auditOf(server, 'withdraw'), [
    { subject: 'acme/doomed@r1', outcome: 'ok' },
    { subject: 'acme/doomed', outcome: 'ok', details: { deleted: true, versions: 1 } },
  ])

  t.equal((await writer.create('acme/doomed')).status, 200, 'it may be made again')
  await writer.upload('acme/doomed', smallFile(8))
  const anew = await writer.upload('acme/doomed', smallFile(8))
  const next = await writer.committed('acme/doomed', [header(), lfsLine('a.safetensors', anew)])
  t.not(next, commit)
  const tags = await jsonOf(await request('/v1/checkpoints/acme/doomed'))
  t.match(tags, { tags: { latest: 'r2' } }, 'and the names of before are not used again')
})

t.test('other methods are 405, and say which there are', async (t) => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['PUT', '/api/repos/create', 'POST'],
    ['GET', '/api/repos/delete', 'DELETE'],
    ['OPTIONS', '/api/repos/create', 'POST'],
    ['GET', '/api/models/acme/made/commit/main', 'POST'],
    ['GET', '/acme/made.git/info/lfs/objects/batch', 'POST'],
    ['POST', '/api/lfs/object/x', 'PUT'],
    ['GET', '/api/lfs/part/x', 'PUT'],
    ['DELETE', '/api/models/acme/made/preupload/main', 'POST'],
    ['PUT', '/api/models/acme/made/branch/x', 'POST, DELETE'],
    ['POST', '/api/models/acme/made/refs', 'GET, HEAD'],
    ['HEAD', '/api/validate-yaml', 'POST'],
  ]
  for (const [method, path, allow] of cases) {
    const answer = await writer.send(method, path)
    t.equal(answer.status, 405, `${method} ${path}`)
    t.same(answer.headers.get('allow')?.split(', ').sort(), allow.split(', ').sort())
  }
})

t.test('any card is fine to the check that comes before it, also a bomb of YAML', async (t) => {
  const bomb = ['a: &a [x,x,x,x,x,x,x,x,x]']
  for (let i = 0; i < 30; i++) {
    const [name, of] = [i + 1, i].map((n) => (n === 0 ? 'a' : `a${n}`))
    bomb.push(
      `${name ?? ''}: &${name ?? ''} [${Array(9)
        .fill(`*${of ?? ''}`)
        .join(',')}]`,
    )
  }
  const clean: Json = { errors: [], warnings: [] }
  for (const content of [`---\n${bomb.join('\n')}\n---\n`, '', '---\n"\n---', '\0']) {
    const body = { content, repoType: 'model' }
    for (const by of [undefined, await token('reader')]) {
      const answer = await request('/api/validate-yaml', {
        token: by,
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      t.equal(answer.status, 200)
      t.strictSame(await jsonOf(answer), clean)
    }
  }
  const large = Buffer.alloc(65 * 1024 * 1024, 97)
  const answer = await writer.send('POST', '/api/validate-yaml', { content: large.toString() })
  await refusal(t, answer, 413, null, 'TOO_LARGE')
})
