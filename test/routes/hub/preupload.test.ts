import { createHash } from 'node:crypto'
import t from 'tap'
import { startServer } from '../../helpers/server.ts'
import { type Json, jsonOf, smallFile } from '../wire.ts'
import { auditOf, base64, fileLine, header, lfsLine, PICKLE, pushing, sha256 } from './pushing.ts'
import { refusal } from './repository.ts'

const server = await startServer(t)
const { request, token } = server
const writer = pushing(server, await token('writer', 'acme/*'))
const weights = smallFile(1)
await writer.create('acme/bert')

interface Told {
  readonly path: string
  readonly bytes: Uint8Array
  readonly size?: number
}
const preupload = (files: readonly Told[], by = writer, rev = 'main'): Promise<Response> =>
  by.send('POST', `/api/models/acme/bert/preupload/${rev}`, {
    files: files.map(({ path, bytes, size = bytes.length }) => ({
      path,
      size,
      sample: base64(bytes.subarray(0, 512)),
    })),
    gitAttributes: '*.bin filter=lfs',
  })
const file = (path: string, bytes: Uint8Array | string, size?: number): Told => ({
  path,
  bytes: Buffer.from(bytes),
  ...(size === undefined ? {} : { size }),
})
const planned = async (answer: Response): Promise<readonly Json[]> =>
  ((await jsonOf(answer)) as { readonly files: readonly Json[] }).files

t.test('weights go by LFS, what describes them inside the commit', async (t) => {
  const answer = await preupload([
    file('model.safetensors', weights),
    file('sub/model-00001-of-00002.safetensors', weights),
    file('config.json', '{}'),
    file('README.md', '# Bert'),
    file('.gitattributes', '*.bin filter=lfs'),
    file('model.safetensors.index.json', '{"weight_map": {}}'),
  ])
  t.equal(answer.status, 200)
  t.equal(answer.headers.get('x-hf-warning'), null)
  t.equal(answer.headers.get('x-repo-commit'), '0'.repeat(40))
  const modes = (await planned(answer)).map(({ uploadMode, shouldIgnore }) => [
    uploadMode,
    shouldIgnore,
  ])
  t.strictSame(modes, [
    ['lfs', false],
    ['lfs', false],
    ['regular', false],
    ['regular', false],
    ['regular', false],
    ['regular', false],
  ])
})

t.test('what lies at a path already is told as the client computes it', async (t) => {
  const config = '{"a": 1}\n'
  const oid = await writer.upload('acme/bert', weights)
  await writer.committed('acme/bert', [
    header(),
    lfsLine('model.safetensors', oid),
    fileLine('config.json', config),
  ])
  const files = await planned(
    await preupload([file('model.safetensors', weights), file('config.json', config)]),
  )
  const git = createHash('sha1').update(`blob ${config.length}\0${config}`).digest('hex')
  t.strictSame(
    files.map((one) => one['oid']),
    [sha256(weights), git],
  )
})

t.test('pickles among other files are left out by name, and the user is told', async (t) => {
  const answer = await preupload([
    file('model.safetensors', weights),
    file('training_args.bin', PICKLE),
    file('runs/events.out.tfevents.17', 'x'),
    file('optimizer.PT', PICKLE),
  ])
  t.equal(answer.status, 200)
  t.match(await planned(answer), [
    { path: 'model.safetensors', shouldIgnore: false },
    { path: 'training_args.bin', shouldIgnore: true },
    { path: 'runs/events.out.tfevents.17', shouldIgnore: true },
    // A client that sends it all the same is then refused by its path.
    { path: 'optimizer.PT', shouldIgnore: true, uploadMode: 'regular' },
  ])
  const [topic = '', ...message] = (answer.headers.get('x-hf-warning') ?? '').split('; ')
  t.match(topic, /^[a-z]/)
  t.match(message.join('; '), /training_args\.bin, .* optimizer\.PT: .*pickle/)
})

t.test('a warning is one line of ASCII, however many names it has', async (t) => {
  const many = Array.from({ length: 200 }, (_, i) => file(`ü;\r\n${i}.bin`, PICKLE))
  const answer = await preupload([file('model.safetensors', weights), ...many])
  t.equal(answer.status, 200)
  const warning = answer.headers.get('x-hf-warning') ?? ''
  t.match(warning, /^[ -~]+$/)
  t.equal(warning.split('; ').length >= 2, true)
  t.match(warning, /and 190 more/)
})

t.test('what is refused is refused with its path, what is wrong, and what to do', async (t) => {
  const zip = Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(508)])
  const large = 33 * 1024 * 1024
  for (const [told, wanted] of [
    [file('training_args.bin', PICKLE), /training_args\.bin: .*pickle.*strongroom migrate/],
    [file('model.safetensors', PICKLE, 9000), /model\.safetensors: .*pickle.*strongroom migrate/i],
    [file('model.safetensors', zip, 9000), /model\.safetensors: .*zip/],
    [file('config.json', PICKLE), /config\.json: /],
    [file('tokenizer.json', '{"a": '), /tokenizer\.json: /],
    [file('vocab.txt', Buffer.from([0xff, 0xfe, 0])), /vocab\.txt: /],
    [file('modeling_bert.py', 'import os'), /modeling_bert\.py: programs/],
    [file('run.SH', 'rm -rf /'), /run\.SH: programs/],
    [file('weights.gguf', 'GGUF'), /weights\.gguf: /],
    [file('README.md', '# long', large), /README\.md: .*33554432/],
    [file('README.md', '# long', 100 * 1024 * 1024), /README\.md: .*33554432/],
    [file('model.safetensors', weights, 8), /model\.safetensors: /],
  ] as const) {
    const answer = await preupload(
      [file('ok.safetensors', weights), told].slice(told.path === 'training_args.bin' ? 1 : 0),
    )
    const { error } = await refusal(t, answer, 400, null, 'INVALID_REQUEST')
    t.match(error, wanted)
  }
})

t.test('paths that leave the repository are no paths', async (t) => {
  for (const path of [
    '../x.safetensors',
    'a/../../x.safetensors',
    '/etc/x.safetensors',
    'a\\..\\x.safetensors',
    'a//x.safetensors',
    './x.safetensors',
    'a/\0.safetensors',
    '',
    'a/',
  ])
    await refusal(t, await preupload([file(path, weights)]), 400, null, 'INVALID_NAME')
})

t.test('a sample that lies is found out when the bytes come', async (t) => {
  const answer = await preupload([file('model.safetensors', weights), file('config.json', '{}')])
  t.equal(answer.status, 200, 'innocent so far')
  const before = await jsonOf(await request('/v1/checkpoints/acme/bert'))
  const place = await writer.placeOf('acme/bert', PICKLE)
  const put = await fetch(place.actions?.upload.href ?? '', { method: 'PUT', body: PICKLE })
  const refused = await refusal(t, put, 422, null, 'INVALID_SAFETENSORS')
  t.match(refused, { looks_like: 'pickle', error: /pickle/ })
  for (const path of ['config.json', 'model.safetensors', 'README.md', 'tokenizer.model']) {
    const committed = await writer.commit('acme/bert', [header(), fileLine(path, PICKLE)])
    t.equal(committed.status, 422, path)
    t.match(await jsonOf(committed), { error: new RegExp(path.replace('.', '\\.')) })
  }
  const named = [header(), lfsLine('model.safetensors', sha256(PICKLE))]
  await refusal(t, await writer.commit('acme/bert', named), 400, null, 'INVALID_REQUEST')
  t.strictSame(await jsonOf(await request('/v1/checkpoints/acme/bert')), before)
})

t.test('where the policy admits no sidecars, that is said', async (t) => {
  await server.put('acme/plain/1.0', weights)
  const plain = await writer.send('POST', '/api/models/acme/plain/preupload/main', {
    files: [{ path: 'config.json', size: 2, sample: base64('{}') }],
  })
  const { error } = await refusal(t, plain, 400, null, 'INVALID_REQUEST')
  t.match(error, /config\.json: the policy of this repository admits no sidecars/)
})

t.test('a text that could be a pickle is refused with another advice than weights', async (t) => {
  const words = await preupload([file('labels.txt', 'cat\ndog\n')])
  const { error } = await refusal(t, words, 400, null, 'INVALID_REQUEST')
  t.match(error, /labels\.txt: .*another first line helps/)
  t.notMatch(error, /migrate/)
})

t.test('nobody is led to believe that there are pull requests', async (t) => {
  const path = '/api/models/acme/bert'
  for (const answer of [
    await writer.send('POST', `${path}/preupload/main?create_pr=1`, { files: [] }),
    await writer.send('GET', `${path}/xet-write-token/main?create_pr=1`),
  ])
    t.match(await refusal(t, answer, 400, null, 'INVALID_REQUEST'), { error: /no pull requests/ })
})

t.test('as many files as allowed, and no more', async (t) => {
  const files = (count: number): readonly Told[] =>
    Array.from({ length: count }, (_, i) => file(`${i}.safetensors`, weights))
  t.equal((await preupload(files(1000))).status, 200)
  await refusal(t, await preupload(files(1001)), 400, null, 'INVALID_REQUEST')
  const much = { files: [{ path: 'a', size: 1, sample: 'A'.repeat(5 * 1024 * 1024) }] }
  const answer = await writer.send('POST', '/api/models/acme/bert/preupload/main', much)
  await refusal(t, answer, 413, null, 'TOO_LARGE')
  for (const body of [{}, { files: [{}] }, { files: [{ path: 'a', size: -1 }] }, 'x'])
    await refusal(
      t,
      await writer.send('POST', '/api/models/acme/bert/preupload/main', body),
      400,
      null,
      'INVALID_REQUEST',
    )
})

t.test('it needs a repository, a revision, and someone who may push', async (t) => {
  const some = [file('model.safetensors', weights)]
  const nowhere = await preupload(some, writer, 'nowhere')
  await refusal(t, nowhere, 404, 'RevisionNotFound', 'NOT_FOUND')
  const none = await writer.send('POST', '/api/models/acme/none/preupload/main', { files: [] })
  await refusal(t, none, 404, 'RepoNotFound', 'NOT_FOUND')
  for (const [role, scope] of [
    ['reader', 'acme/*'],
    ['auditor', '*'],
    ['detector', '*'],
    ['writer', 'other/*'],
  ] as const) {
    const other = pushing(server, await token(role, scope))
    await refusal(t, await preupload(some, other), 403, null, 'FORBIDDEN')
  }
})

t.test('refusals are entered with what the file looked like, and counted', async (t) => {
  const entries = await auditOf(server, 'refuse')
  t.ok(
    entries.some(
      ({ subject, details }) =>
        subject === 'acme/bert@main' &&
        (details as Json)['looks_like'] === 'pickle' &&
        (details as Json)['route'] === '/api/models/:owner/:name/preupload/:rev',
    ),
  )
  const metrics = await (await request('/metrics')).text()
  t.match(metrics, /strongroom_publishes_total\{[^}]*outcome="refused"[^}]*\} [1-9]/)
})
