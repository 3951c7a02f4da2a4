import { createHash } from 'node:crypto'
import t from 'tap'
import { deface, whereInVault } from '../../attacks/hostile.ts'
import { ADMIN, startServer } from '../../helpers/server.ts'
import { jsonOf, problem, smallFile } from '../wire.ts'
import { publish, refusal } from './repository.ts'

const server = await startServer(t)
const { request, token } = server

const weights = smallFile(1)
const config = Buffer.from('{"model_type": "bert"}\n')
const revision = await publish(server, 'acme/bert/1.0', {
  'model.safetensors': weights,
  'config.json': config,
  'onnx/README.md': Buffer.from('hello\n'),
})
const commit = revision.slice(0, 40)
const sha256 = createHash('sha256').update(weights).digest('hex')
/** As `git hash-object` prints it. */
const oidOf = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')

const reader = await token('reader', 'acme/*')
const read = (path: string, init: RequestInit = {}): Promise<Response> =>
  request(path, { token: reader, ...init })

t.test('safetensors are known by their SHA-256, other files by git’s id of them', async (t) => {
  for (const [path, etag, size] of [
    ['model.safetensors', sha256, weights.length],
    ['config.json', oidOf(config), config.length],
    ['onnx/README.md', 'ce013625030ba8dba906f756967f9e9ca394464a', 6],
  ] as const) {
    for (const word of ['resolve', 'raw']) {
      const { status, headers } = await read(`/acme/bert/${word}/main/${path}`, { method: 'HEAD' })
      t.equal(status, 200)
      t.match(Object.fromEntries(headers), {
        etag: `"${etag}"`,
        'x-linked-etag': `"${etag}"`,
        'x-linked-size': String(size),
        'content-length': String(size),
        'accept-ranges': 'bytes',
        'x-repo-commit': commit,
        'x-checkpoint-revision': revision,
        'x-checkpoint-version': '1.0',
      })
      t.notOk(headers.has('x-xet-hash'), 'which would lead clients away')
      t.notOk(headers.has('location'))
    }
  }
})

t.test('a GET answers with the bytes, or with the range asked for', async (t) => {
  const whole = await read('/acme/bert/resolve/main/model.safetensors?download=true')
  t.same(Buffer.from(await whole.arrayBuffer()), Buffer.from(weights))
  const begun = await read('/acme/bert/resolve/main/config.json', {
    headers: { range: 'bytes=2-11' },
  })
  t.equal(begun.status, 206)
  t.equal(begun.headers.get('content-range'), `bytes 2-11/${config.length}`)
  t.equal(await begun.text(), config.toString().slice(2, 12))
})

t.test('who has the bytes is told so, and who has others gets them whole', async (t) => {
  const etag = `"${oidOf(config)}"`
  const path = '/acme/bert/resolve/main/config.json'
  t.equal((await read(path, { headers: { 'if-none-match': etag } })).status, 304)
  t.equal((await read(path, { headers: { 'if-match': `"${sha256}"` } })).status, 412)
  const range = 'bytes=3-'
  const other = await read(path, { headers: { range, 'if-range': `"${sha256}"` } })
  t.equal(other.status, 200)
  await other.body?.cancel()
  t.equal((await read(path, { headers: { range, 'if-range': etag } })).status, 206)
})

t.test('main, HEAD, a tag, a version and a commit lead to the version', async (t) => {
  for (const rev of ['main', 'HEAD', 'latest', '1.0', commit, revision, commit.slice(0, 12)]) {
    for (const written of [rev, `refs%2Fheads%2F${rev}`, `refs%2Ftags%2F${rev}`]) {
      const answer = await read(`/acme/bert/resolve/${written}/config.json`)
      t.equal(await answer.text(), config.toString(), written)
    }
  }
})

t.test('what isn’t there is told in the words of the Hub', async (t) => {
  const missing = async (path: string, hubCode: string) => {
    await refusal(t, await read(path), 404, hubCode, 'NOT_FOUND')
    const head = await read(path, { method: 'HEAD' })
    t.equal(head.headers.get('x-error-code'), hubCode)
    t.ok(head.headers.get('x-error-message'), 'all that a person gets to read of it')
  }
  for (const rev of ['2.0', 'feat%2Fx', 'refs%2Fpr%2F1', 'refs%2Fconvert%2Fparquet', 'abc', '%20'])
    await missing(`/acme/bert/resolve/${rev}/config.json`, 'RevisionNotFound')
  for (const path of ['tokenizer.json', 'onnx', '..%2Fconfig.json', 'config.json/x'])
    await missing(`/acme/bert/resolve/main/${path}`, 'EntryNotFound')
  for (const repo of [
    'acme/none',
    'other/secret',
    'acme/a--b',
    'acme/b%C3%A9',
    'gpt2',
    'datasets/acme/x',
  ])
    await missing(`/${repo}/resolve/main/config.json`, 'RepoNotFound')
})

t.test('a file that isn’t there says in which commit', async (t) => {
  const answer = await read('/acme/bert/resolve/main/tokenizer.json', { method: 'HEAD' })
  t.equal(answer.headers.get('x-repo-commit'), commit)
})

t.test('a repository out of scope looks like one that isn’t there', async (t) => {
  await publish(server, 'other/secret/1.0', { 'model.safetensors': weights })
  const bodies = await Promise.all(
    ['other/secret', 'other/none'].map(async (repo) => {
      const answer = await read(`/${repo}/resolve/main/model.safetensors`)
      return { ...(await refusal(t, answer, 404, 'RepoNotFound', 'NOT_FOUND')), request_id: '' }
    }),
  )
  t.same(bodies[0], bodies[1])
})

t.test('who may describe but not read is told that the repository is gated', async (t) => {
  const answer = await request('/acme/bert/resolve/main/model.safetensors', {
    token: await token('auditor'),
  })
  await refusal(t, answer, 403, 'GatedRepo', 'FORBIDDEN')
})

t.test('without a token nothing is there, and a bad one is called bad', async (t) => {
  const path = '/acme/bert/resolve/main/config.json'
  const none = await request(path, { token: undefined })
  await refusal(t, none, 401, 'RepoNotFound', 'UNAUTHENTICATED')
  const bad = await request(path, { token: 'hf_sr_bad' })
  await refusal(t, bad, 401, null, 'UNAUTHENTICATED')
  t.equal(bad.headers.get('x-error-message'), 'Invalid credentials in Authorization header')
  t.equal((await request(path, { token: `hf_${reader}` })).status, 200)
})

t.test('a withdrawn version is gone, and says why', async (t) => {
  await publish(server, 'acme/gone/1.0', { 'model.safetensors': weights })
  await request('/v1/checkpoints/acme/gone/1.0?reason=it%E2%80%99s%20leaked', {
    token: ADMIN,
    method: 'DELETE',
  })
  const path = '/acme/gone/resolve/1.0/model.safetensors'
  const body = await refusal(t, await read(path), 410, 'RevisionNotFound', 'WITHDRAWN')
  t.match(body['error'], /it's leaked/)
  const empty = await read('/acme/gone/resolve/main/model.safetensors')
  await refusal(t, empty, 404, 'EntryNotFound', 'NOT_FOUND')
  t.equal(empty.headers.get('x-repo-commit'), '0'.repeat(40))
})

t.test('an owner that is a route of the server’s leads where it led before', async (t) => {
  for (const path of ['/v1/bert/resolve/main/f', '/V1/bert', '/docs2/../v1/x', '/cas/x/raw/main/f'])
    for (const token of [undefined, ADMIN])
      await problem(t, await request(path, { token }), 404, 'NOT_FOUND', { what: 'route' })
})

t.test('other methods are refused', async (t) => {
  const answer = await read('/acme/bert/resolve/main/config.json', { method: 'PUT', body: 'x' })
  await refusal(t, answer, 405, null, 'METHOD_NOT_ALLOWED')
  t.equal(answer.headers.get('allow'), 'GET, HEAD')
})

t.test('a download is entered in the audit log like any other', async (t) => {
  await publish(server, 'acme/audited/1.0', { 'model.safetensors': weights })
  await (await read('/acme/audited/resolve/main/model.safetensors')).arrayBuffer()
  await server.strongroom.audit.flush()
  const { items } = await jsonOf(
    await request('/v1/audit?action=download&subject=acme/audited@1.0', { token: ADMIN }),
  )
  t.match(items, [{ details: { path: 'model.safetensors', bytes: weights.length }, outcome: 'ok' }])
})

t.test('damaged bytes are not served, nor named by a tag', async (t) => {
  await publish(server, 'acme/damaged/1', { NOTICE: Buffer.from('Bytes of its own\n') })
  deface(await whereInVault(server, 'acme/damaged/1'), (bytes) => bytes.fill(0x20))
  for (const method of ['GET', 'HEAD']) {
    const answer = await read('/acme/damaged/resolve/main/NOTICE', { method })
    t.equal(answer.status, 500)
    for (const name of ['etag', 'x-linked-etag', 'x-linked-size'])
      t.notOk(answer.headers.has(name), name)
  }
  const answer = await read('/api/models/acme/damaged')
  await refusal(t, answer, 500, null, 'INTEGRITY_FAILURE')
})

t.test(
  'what clients would unpickle by its name is not among the files of a repository',
  async (t) => {
    // Safetensors all the same, as the registry’s own API shows.
    await publish(server, 'acme/named/1.0', {
      'model.safetensors': weights,
      'pytorch_model.bin': smallFile(2),
      'old/Weights.PT': smallFile(3),
    })
    const info = await jsonOf(await read('/api/models/acme/named'))
    t.match(info, { siblings: [{ rfilename: 'model.safetensors' }] })
    t.equal((info['siblings'] as unknown[]).length, 1)
    for (const path of ['pytorch_model.bin', 'old/Weights.PT']) {
      const missing = await read(`/acme/named/resolve/main/${path}`)
      await refusal(t, missing, 404, 'EntryNotFound', 'NOT_FOUND')
      t.equal((await read(`/v1/checkpoints/acme/named/1.0/files/${path}`)).status, 200)
    }
  },
)
