import { createHash } from 'node:crypto'
import t from 'tap'
import { writeSafetensors } from '../../../src/safetensors/write.ts'
import { ADMIN, startServer } from '../../helpers/server.ts'
import { type Json, jsonOf, smallFile } from '../wire.ts'
import { publish, refusal } from './repository.ts'

const server = await startServer(t)
const { request, token, url } = server

const tensor = (name: string, dtype: string, shape: readonly number[], bytes: number) => ({
  name,
  dtype,
  shape,
  bytes: new Uint8Array(bytes).fill(1),
})
const weights = writeSafetensors(
  [tensor('a', 'F32', [2, 3], 24), tensor('b', 'F32', [], 4), tensor('c', 'I64', [2], 16)],
  { format: 'pt' },
)
const vocabulary = Buffer.from('a\nb\n')
const files = {
  'README.md': Buffer.from('hello\n'),
  'model.safetensors': weights,
  'onnx/deep/vocab.txt': vocabulary,
  'onnx/model.safetensors': smallFile(2),
}
const first = await publish(server, 'acme/bert/1.0', { 'model.safetensors': weights })
const revision = await publish(server, 'acme/bert/2.0', files)
const commit = revision.slice(0, 40)
await publish(server, 'other/secret/1.0', { 'model.safetensors': weights })

const hex = (algorithm: string, bytes: Uint8Array | string): string =>
  createHash(algorithm).update(bytes).digest('hex')
const pointerTo = (bytes: Uint8Array): string =>
  `version https://git-lfs.github.com/spec/v1\noid sha256:${hex('sha256', bytes)}\nsize ${bytes.length}\n`
const gitOid = (text: string): string => hex('sha1', `blob ${Buffer.byteLength(text)}\0${text}`)

const reader = await token('reader', 'acme/*')
const get = (path: string, init: RequestInit = {}): Promise<Response> =>
  request(path, { token: reader, ...init })
const post = (path: string, type: string, body: string): Promise<Response> =>
  get(path, { method: 'POST', headers: { 'content-type': type }, body })
const list = async (path: string): Promise<readonly Json[]> =>
  (await (await get(path)).json()) as readonly Json[]
const pathsOf = (entries: readonly Json[]): readonly unknown[] => entries.map(({ path }) => path)

t.test('a repository is told as the Hub tells it', async (t) => {
  const lfs = {
    sha256: hex('sha256', weights),
    size: weights.length,
    pointerSize: pointerTo(weights).length,
  }
  const told = {
    id: 'acme/bert',
    modelId: 'acme/bert',
    author: 'acme',
    _id: /^[0-9a-f]{24}$/,
    sha: commit,
    private: true,
    gated: false,
    disabled: false,
    downloads: 0,
    likes: 0,
    tags: ['safetensors'],
    safetensors: { parameters: { F32: 7, I64: 2, U8: 4 }, total: 13 },
    siblings: [
      { rfilename: 'README.md', size: 6, blobId: 'ce013625030ba8dba906f756967f9e9ca394464a' },
      {
        rfilename: 'model.safetensors',
        size: weights.length,
        blobId: gitOid(pointerTo(weights)),
        lfs,
      },
      { rfilename: 'onnx/deep/vocab.txt' },
      { rfilename: 'onnx/model.safetensors' },
    ],
  }
  for (const path of [
    '/api/models/acme/bert',
    '/api/models/ACME/Bert/revision/HEAD',
    '/acme/bert',
  ]) {
    const answer = await get(`${path}?expand=siblings&expand[]=likes&blobs=true`)
    t.equal(answer.headers.get('x-repo-commit'), commit)
    t.match(await jsonOf(answer), told, path)
  }
})

t.test('a revision of it is told by its name and by its commit', async (t) => {
  for (const rev of ['1.0', first.slice(0, 40), first]) {
    const body = await jsonOf(await get(`/api/models/acme/bert/revision/${rev}`))
    t.match(body, { sha: first.slice(0, 40), safetensors: { total: 9 }, siblings: { length: 1 } })
  }
  const absent = await get('/api/models/acme/bert/revision/feat%2Fx')
  await refusal(t, absent, 404, 'RevisionNotFound', 'NOT_FOUND')
})

t.test('a repository that can’t be, isn’t there or is out of scope is missing', async (t) => {
  for (const repo of ['acme/none', 'other/secret', 'acme/x..y', 'v1/x', 'gpt2'])
    for (const below of ['', '/revision/main', '/tree/main', '/auth-check'])
      await refusal(t, await get(`/api/models/${repo}${below}`), 404, 'RepoNotFound', 'NOT_FOUND')
  for (const path of ['/api/datasets/acme/bert', '/api/spaces/acme/bert/tree/main'])
    await refusal(t, await get(path), 404, 'RepoNotFound', 'NOT_FOUND')
  await refusal(t, await get('/api/models/acme/bert/discussions'), 404, null, 'NOT_FOUND')
})

t.test('a tree is listed a directory at a time, or whole', async (t) => {
  const tree = '/api/models/acme/bert/tree'
  t.same(pathsOf(await list(`${tree}/main`)), ['README.md', 'model.safetensors', 'onnx'])
  for (const written of [
    'main/onnx',
    'main/onnx/',
    'refs/heads/main/onnx',
    'refs%2Ftags%2F2.0/onnx',
  ])
    t.same(pathsOf(await list(`${tree}/${written}`)), ['onnx/deep', 'onnx/model.safetensors'])
  const whole = await list(`${tree}/main?recursive=True&expand=false`)
  t.match(whole, [
    { type: 'file', path: 'README.md', size: 6, oid: 'ce013625030ba8dba906f756967f9e9ca394464a' },
    {
      type: 'file',
      path: 'model.safetensors',
      size: weights.length,
      oid: gitOid(pointerTo(weights)),
      lfs: { oid: hex('sha256', weights), size: weights.length },
    },
    { type: 'directory', path: 'onnx', oid: /^[0-9a-f]{40}$/ },
    { type: 'directory', path: 'onnx/deep' },
    { type: 'file', path: 'onnx/deep/vocab.txt' },
    { type: 'file', path: 'onnx/model.safetensors' },
  ])
  t.notMatch(JSON.stringify(whole), /xetHash|lastCommit/)
})

t.test('the commit of each is told where it is asked for', async (t) => {
  const expanded = await list('/api/models/acme/bert/tree/main?expand=true')
  for (const { lastCommit } of expanded)
    t.match(lastCommit, { id: commit, title: '2.0', date: /Z$/ })
})

t.test('a tree comes in pages that lead to one another', async (t) => {
  const seen: unknown[] = []
  let next: string | undefined = `${url}/api/models/acme/bert/tree/main?recursive=true&limit=2`
  while (next !== undefined) {
    const answer = await get(next.slice(url.length))
    seen.push(...pathsOf((await answer.json()) as readonly Json[]))
    const [, link] = /^<(.+)>; rel="next"$/.exec(answer.headers.get('link') ?? '') ?? []
    if (link !== undefined) t.ok(link.startsWith(url), 'absolute')
    next = link
  }
  t.same(seen, pathsOf(await list('/api/models/acme/bert/tree/main?recursive=true')))
})

t.test('a directory that isn’t there is missing, but for one that clients look for', async (t) => {
  for (const path of ['none', 'onnx/none', 'README.md']) {
    const answer = await get(`/api/models/acme/bert/tree/main/${path}`)
    t.equal(answer.headers.get('x-repo-commit'), commit)
    await refusal(t, answer, 404, 'EntryNotFound', 'NOT_FOUND')
  }
  t.same(await list('/api/models/acme/bert/tree/main/additional_chat_templates'), [])
  const rev = await get('/api/models/acme/bert/tree/feat/x')
  await refusal(t, rev, 404, 'RevisionNotFound', 'NOT_FOUND')
})

t.test('paths are asked for in a form or in JSON', async (t) => {
  const path = '/api/models/acme/bert/paths-info/main'
  const form = 'application/x-www-form-urlencoded'
  const asked = 'paths=onnx%2F&paths=README.md&paths=none&expand=True'
  const found = (await (await post(path, form, asked)).json()) as readonly Json[]
  t.match(found, [
    { type: 'file', path: 'README.md', size: 6, lastCommit: { id: commit } },
    { type: 'directory', path: 'onnx' },
  ])
  const json = JSON.stringify({ paths: ['onnx', 'README.md', 'none'], expand: true })
  t.same(await (await post(path, 'application/json', json)).json(), found)
  t.match(await (await post(path, form, 'paths=README.md')).json(), [{ size: 6 }])
  t.same(await (await post(path, form, 'expand=False')).json(), [])
})

t.test('no more paths are looked for than there may be', async (t) => {
  const path = '/api/models/acme/bert/paths-info/main'
  const many = Array.from({ length: 1001 }, (_, i) => `p${i}`)
  const json = await post(path, 'application/json', JSON.stringify({ paths: many }))
  t.match(await refusal(t, json, 400, null, 'INVALID_REQUEST'), { error: /body\.paths/ })
  const form = many.map((each) => `paths=${each}`).join('&')
  for (const body of [form, 'a&'.repeat(300_000)]) {
    const answer = await post(path, 'application/x-www-form-urlencoded', body)
    await refusal(t, answer, 400, null, 'INVALID_REQUEST')
  }
})

t.test('a repository without a version is an empty one', async (t) => {
  await publish(server, 'acme/empty/1.0', { 'model.safetensors': smallFile() })
  await request('/v1/checkpoints/acme/empty/1.0?reason=x', { token: ADMIN, method: 'DELETE' })
  const sha = '0'.repeat(40)
  for (const rev of ['main', sha]) {
    const body = await jsonOf(await get(`/api/models/acme/empty/revision/${rev}`))
    t.match(body, { id: 'acme/empty', sha, siblings: { length: 0 } })
    t.notOk('safetensors' in body)
    t.same(await list(`/api/models/acme/empty/tree/${rev}?recursive=true`), [])
  }
  const answer = await post(
    '/api/models/acme/empty/paths-info/main',
    'application/json',
    '{"paths":["a"]}',
  )
  t.same(await answer.json(), [])
})

t.test(
  'repositories within the caller’s scope are listed, by owner and by a part of the name',
  async (t) => {
    for (const name of ['a', 'b', 'c'])
      await publish(server, `lists/${name}/1`, { 'model.safetensors': smallFile() })
    const lists = await token('reader', 'lists/*')
    const idsOf = async (query: string, secret = lists): Promise<unknown> => {
      const answer = await request(`/api/models${query}`, { token: secret })
      return ((await answer.json()) as readonly Json[]).map(({ id }) => id)
    }
    t.same(await idsOf('?sort=downloads&direction=-1&full=True'), ['lists/a', 'lists/b', 'lists/c'])
    t.same(await idsOf('?author=other'), [])
    t.same(await idsOf('?search=S/B&filter=safetensors'), ['lists/b'])
    t.same(await idsOf('?filter=gguf'), [])
    t.same(await idsOf('?pipeline_tag=text-generation'), [])
    t.same(await idsOf('?author=LISTS&search=c', ADMIN), ['lists/c'])
    const page = await request('/api/models?limit=2&search=lists', { token: lists })
    t.match(await page.json(), [{ sha: /^[0-9a-f]{40}$/, lastModified: /Z$/, author: 'lists' }, {}])
    const [, next = ''] = /^<(.+)>; rel="next"$/.exec(page.headers.get('link') ?? '') ?? []
    t.same(await idsOf(next.slice(`${url}/api/models`.length)), ['lists/c'])
  },
)

t.test('the headers of a sharded model come in one answer', async (t) => {
  const shards = ['l1', 'l2'].map(
    (name) =>
      [`model-${name}.safetensors`, writeSafetensors([tensor(name, 'F16', [2], 4)])] as const,
  )
  const index = {
    metadata: { total_size: 8 },
    weight_map: { l1: 'model-l1.safetensors', l2: 'model-l2.safetensors' },
  }
  await publish(server, 'acme/sharded/1.0', {
    ...Object.fromEntries(shards),
    'model.safetensors.index.json': Buffer.from(JSON.stringify(index)),
    'other.safetensors': smallFile(),
  })
  const answer = await get(
    '/api/models/acme/sharded/safetensors-metadata/model.safetensors.index.json',
  )
  t.same(await answer.json(), {
    index: { metadata: { total_size: 8 } },
    headers: {
      'model-l1.safetensors': { l1: { dtype: 'F16', shape: [2], data_offsets: [0, 4] } },
      'model-l2.safetensors': { l2: { dtype: 'F16', shape: [2], data_offsets: [0, 4] } },
    },
  })
  const none = await get('/api/models/acme/sharded/safetensors-metadata/other.safetensors')
  await refusal(t, none, 404, 'EntryNotFound', 'NOT_FOUND')
})

t.test('a token is told as an account, whose name is where its repositories go', async (t) => {
  const whoami = async (secret: string) =>
    jsonOf(await request('/api/whoami-v2', { token: secret }))
  t.match(await whoami(`hf_${reader}`), {
    type: 'user',
    name: 'acme',
    orgs: [],
    auth: { accessToken: { displayName: 'reader of a test', role: 'read' } },
  })
  const writer = await whoami(await token('writer', 'deep/prefix*'))
  t.match(writer, { name: 'deep', auth: { accessToken: { role: 'write' } } })
  t.match(await whoami(await token('writer')), { name: 'strongroom-user' })
  t.match(await whoami(ADMIN), { auth: { accessToken: { role: 'write' } } })
  const bad = await request('/api/whoami-v2', { token: 'sr_bad' })
  await refusal(t, bad, 401, null, 'UNAUTHENTICATED')
})

t.test('what a token may do with a repository can be asked', async (t) => {
  const check = '/api/models/acme/bert/auth-check'
  t.same(await (await get(check)).json(), {})
  await refusal(t, await get(`${check}/write`), 403, null, 'FORBIDDEN')
  const asked = async (path: string, role: string, scope?: string) =>
    request(path, { token: await token(role, scope) })
  await refusal(t, await asked(check, 'auditor'), 403, 'GatedRepo', 'FORBIDDEN')
  t.equal((await asked(`${check}/write`, 'writer', 'acme/*')).status, 200)
  for (const repo of ['acme/bert', 'acme/none']) {
    const path = `/api/models/${repo}/auth-check/write`
    await refusal(t, await asked(path, 'writer', 'other/*'), 403, null, 'FORBIDDEN')
  }
})
