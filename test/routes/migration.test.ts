import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import {
  call,
  checkpoint,
  dict,
  GOOD,
  join as bytesOf,
  pickle,
  text,
} from '../../bench/fuzz-pickle/assembler.ts'
import { weightsOf } from '../pickle/converting.ts'
import { type Json, jsonOf, problem, smallFile } from './wire.ts'

const server = await startServer(t)
const { request, token } = server
const WRITER = await token('writer', 'acme/*')

const legacy = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/legacy/${name}`, import.meta.url))
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

const post = (path: string, body: Uint8Array, init: { token?: string } = {}): Promise<Response> =>
  request(path, { token: WRITER, method: 'POST', body: Buffer.from(body), ...init })
const migrate = (ref: string, body: Uint8Array, init?: { token?: string }): Promise<Response> =>
  post(`/v1/migrate/${ref}`, body, init)
const scanned = async (body: Uint8Array): Promise<Json> => jsonOf(await post('/v1/scan', body))

/** Entries of the log with this action, newest last. */
async function entered(action: string): Promise<readonly Json[]> {
  const page = await jsonOf(await request(`/v1/audit?action=${action}`, { token: ADMIN }))
  return page['items'] as Json[]
}

const staged = (): readonly string[] => readdirSync(join(server.folder, 'data/vault/staging'))

const HOSTILE = checkpoint(dict({ weight: call('os', 'system', text('id')) }))

t.test('a checkpoint is published as safetensors, with what it was made of', async (t) => {
  const source = legacy('trainer.pt')
  const response = await migrate('acme/sae/1.0?meta.layer=12&path=sae.safetensors', source)
  const answer = await jsonOf(response)
  t.equal(response.status, 201)
  t.equal(response.headers.get('location'), '/v1/checkpoints/acme/sae/1.0')
  t.equal(response.headers.get('x-checkpoint-revision'), answer['revision'])
  t.match(answer, {
    checkpoint: 'acme/sae',
    version: '1.0',
    metadata: { layer: '12', source_sha256: sha256(source), format: 'pt' },
    files: [{ path: 'sae.safetensors' }],
    migration: { source_sha256: sha256(source), format: 'torch_zip', tied: {} },
  })
  const { dropped, dropped_total: total, root } = answer['migration'] as Json
  t.not(root, '')
  t.equal((dropped as unknown[]).length, total)
  const file = await request('/v1/checkpoints/acme/sae/1.0/files/sae.safetensors')
  const bytes = Buffer.from(await file.arrayBuffer())
  t.strictSame(weightsOf(bytes), weightsOf(legacy('trainer.safetensors')))
  t.strictSame(staged(), [], 'nothing of it is kept besides')

  const again = await migrate('acme/sae/1.0?meta.layer=12&path=sae.safetensors', source)
  t.equal(again.status, 200)
  t.strictSame(await jsonOf(again), answer)
  t.match((await entered('migrate')).at(-1), {
    who: { name: /./ },
    subject: 'acme/sae@1.0',
    revision: answer['revision'],
    outcome: 'ok',
    details: { source_sha256: sha256(source), format: 'torch_zip', root },
  })
})

t.test('what would run something is named, runs nothing, and leaves nothing', async (t) => {
  const facts = {
    reason: 'pickle',
    detail:
      /^Refused: archive\/data\.pkl calls os\.system at byte \d+ \(REDUCE\)\. Nothing was executed\.$/,
    findings: [
      {
        entry: 'archive/data.pkl',
        offset: /\d/,
        global: 'os.system',
        via: 'REDUCE',
        invoked: true,
        args_preview: '("id")',
      },
    ],
  }
  const refused = await migrate('acme/hostile/1', HOSTILE)
  await problem(t, refused, 422, 'MIGRATION_REFUSED', facts)
  await problem(t, await request('/v1/checkpoints/acme/hostile'), 404, 'NOT_FOUND')
  t.strictSame(staged(), [])
  t.match((await entered('migrate')).at(-1), {
    subject: 'acme/hostile@1',
    outcome: 'MIGRATION_REFUSED',
    details: { reason: 'pickle', findings: 1, calls: ['os.system'] },
  })
})

t.test('each kind of refusal has its reason', async (t) => {
  const kinds = {
    'namespace.pt': 'pickle',
    'quantized.pt': 'tensor',
    'program.pt': 'not_a_checkpoint',
    'no-root.pt': 'root',
  }
  for (const [name, reason] of Object.entries(kinds))
    await problem(t, await migrate('acme/no/1', legacy(name)), 422, 'MIGRATION_REFUSED', { reason })
  const empty = await migrate('acme/no/1', Buffer.alloc(0))
  await problem(t, empty, 422, 'MIGRATION_REFUSED', { reason: 'not_a_checkpoint' })
})

t.test('a classifier’s pickle leads to the exporter', async (t) => {
  const forest = pickle(
    bytesOf(call('sklearn.ensemble._forest', 'RandomForestClassifier'), dict({}), 'b'),
  )
  const body = await problem(t, await migrate('acme/no/1', forest), 422, 'MIGRATION_REFUSED')
  t.match(body['detail'], /training\/export_classifiers\.py/)
})

t.test('safetensors passes through as it is', async (t) => {
  const file = smallFile(3, { format: 'pt' })
  const answer = await jsonOf(await migrate('acme/already/1', file))
  t.match(answer, {
    files: [{ sha256: sha256(file) }],
    migration: { format: 'safetensors', source_sha256: sha256(file) },
  })
})

t.test('a version that exists, another’s name and a bad one are refused', async (t) => {
  await migrate('acme/taken/1', GOOD)
  await problem(t, await migrate('acme/taken/1?meta.a=1', GOOD), 409, 'VERSION_EXISTS')
  await problem(t, await migrate('acme/-x/1', GOOD), 400, 'INVALID_NAME')
  await problem(t, await migrate('acme/a/1?path=../x', GOOD), 400, 'INVALID_NAME')
  await problem(t, await migrate('acme/a/1?root=a&root=b', GOOD), 400, 'INVALID_REQUEST')
  await problem(t, await migrate('other/a/1', GOOD), 403, 'FORBIDDEN')
  const reader = await token('reader', '*')
  for (const path of ['/v1/migrate/acme/a/1', '/v1/scan'])
    await problem(t, await post(path, GOOD, { token: reader }), 403, 'FORBIDDEN')
  const contradiction = await migrate('acme/a/1?meta.source_sha256=00', GOOD)
  await problem(t, contradiction, 422, 'METADATA_REFUSED', { key: 'source_sha256' })
})

t.test('a checkpoint that isn’t what its caller names is not kept', async (t) => {
  const init = { token: WRITER, method: 'POST', body: Buffer.from(GOOD) }
  const of = (digest: string) => ({ ...init, headers: { 'x-checksum-sha256': digest } })
  const path = '/v1/migrate/acme/named/1'
  const facts = { expected: '0'.repeat(64), actual: sha256(GOOD) }
  const other = await request(path, of('0'.repeat(64)))
  await problem(t, other, 422, 'DIGEST_MISMATCH', facts)
  await problem(t, await request(path, of('x')), 400, 'INVALID_REQUEST')
  t.equal((await request(path, of(sha256(GOOD)))).status, 201)
})

t.test('a policy that the weights don’t meet leaves nothing behind', async (t) => {
  const policy = JSON.stringify({ max_size: 100 })
  const headers = { 'content-type': 'application/json' }
  const url = '/v1/checkpoints/acme/small/policy'
  await request(url, { token: ADMIN, method: 'PUT', headers, body: policy })
  const refused = await migrate('acme/small/1', legacy('trainer.pt'))
  await problem(t, refused, 413, 'TOO_LARGE')
  t.strictSame(staged(), [])
})

t.test('a scan says what a file is, keeps nothing, and is entered', async (t) => {
  t.match(await scanned(GOOD), {
    format: 'torch_zip',
    verdict: 'clean',
    findings: { length: 0 },
    sha256: sha256(GOOD),
    size: GOOD.length,
  })
  t.match(await scanned(smallFile(1)), { format: 'safetensors', verdict: 'clean' })
  t.match(await scanned(Buffer.from('# text')), { verdict: 'refused', notes: [/no checkpoint/] })
  t.match(await scanned(HOSTILE), {
    verdict: 'dangerous',
    findings: [{ entry: 'archive/data.pkl', global: 'os.system', via: 'REDUCE', invoked: true }],
  })
  t.strictSame(staged(), [])
  t.match((await entered('scan')).at(-1), {
    subject: null,
    outcome: 'dangerous',
    details: { sha256: sha256(HOSTILE), format: 'torch_zip', calls: ['os.system'] },
  })
})
