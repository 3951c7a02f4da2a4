import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { checkpoint, dict, GOOD, tensor } from '../../bench/fuzz-pickle/assembler.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { fileOf, run } from './fixture.ts'
import { changed, describe, listen, sha256 } from './liar.ts'

const OTHER = checkpoint(dict({ other: tensor() }))

const server = await startServer(t)
const env = { STRONGROOM_URL: server.url, STRONGROOM_TOKEN: ADMIN }

t.test('what is migrated is published, and then the source goes', async (t) => {
  const folder = t.testdir({
    work: {
      'step 100.pt': GOOD,
      a: { 'model.pt': GOOD },
      b: { 'model.pt': OTHER },
      'main.pt': GOOD,
    },
  })
  const work = join(folder, 'work')
  const args = ['migrate', '.', '--push', 'acme/bert', '--json']
  const first = await run(args, env, work)
  t.equal(first.code, 1, first.stderr)
  const made = readFileSync(join(work, 'a/model.safetensors'))
  t.match(JSON.parse(first.stdout), {
    files: [
      {
        source: 'a/model.pt',
        outcome: 'migrated',
        sha256: sha256(made),
        pushed: { checkpoint: 'acme/bert', version: 'model', revision: /^[0-9a-f]{64}$/ },
        original: 'kept',
      },
      {
        source: 'b/model.pt',
        outcome: 'failed',
        error: /model is a\/model\.pt’s already; push it by itself/,
      },
      { source: 'main.pt', outcome: 'failed', error: /its name can’t be a version’s/ },
      { source: 'step 100.pt', outcome: 'migrated', pushed: { version: 'step-100' } },
    ],
  })
  const published = await server.request('/v1/checkpoints/acme/bert/model/files/model.safetensors')
  t.strictSame(Buffer.from(await published.arrayBuffer()), made)

  const again = await run([...args, '--delete-originals'], env, join(work, 'a'))
  t.equal(again.code, 0, again.stderr)
  t.match(JSON.parse(again.stdout), {
    files: [{ outcome: 'already', pushed: { version: 'model' }, original: 'deleted' }],
  })
  t.strictSame(readdirSync(join(work, 'a')), ['model.safetensors'])

  const one = ['migrate', 'b/model.pt', '--push', 'acme/bert@model', '--delete-originals']
  const taken = await run(one, env, work)
  t.match(taken, { code: 1, stdout: /b\/model\.safetensors is made, but .*VERSION_EXISTS/ })
  const gone = await run([...one, '--url', 'http://127.0.0.1:1'], env, work)
  t.match(gone, { code: 1, stdout: /UNREACHABLE/ })
  t.strictSame(readdirSync(join(work, 'b')), ['model.pt', 'model.safetensors'])
})

t.test('a server that does not hold the file as it was sent costs no source', async (t) => {
  const folder = t.testdir({ 'b.pt': Buffer.from(fileOf(100)) })
  const sent = fileOf(100)
  let described = sent
  let verdict = { valid: false, files: [{ path: 'm', valid: false, sha256: '0', size: 1 }] }
  const url = await listen(t, (request, response) => {
    request.resume().on('end', () => {
      const isVerified = request.url?.endsWith('/verify') === true
      const file = { path: 'model.safetensors', bytes: described }
      response.end(JSON.stringify(isVerified ? verdict : describe([file])))
    })
  })
  const args = ['migrate', 'b.pt', '--push', 'acme/bert@1', '--url', url, '--delete-originals']
  t.match(await run(args, {}, folder), { code: 1, stdout: /does not hold the file as it was sent/ })
  described = changed(sent, 150)
  verdict = { valid: true, files: [{ path: 'm', valid: true, sha256: sha256(sent), size: 1 }] }
  t.match(await run(args, {}, folder), { code: 1, stdout: /describes another file/ })
  t.strictSame(readdirSync(folder), ['b.pt', 'b.safetensors'])
  described = sent
  t.match(await run(args, {}, folder), { code: 0, stdout: /the original is deleted/ })
})
