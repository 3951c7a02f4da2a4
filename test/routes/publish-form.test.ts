import { readFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { jsonOf, problem, smallFile } from './wire.ts'

const { request } = await startServer(t)

type Part = readonly [path: string, bytes: Uint8Array | string]

const FOLDER = new URL('../fixtures/transformers/', import.meta.url)
const INDEX = 'model.safetensors.index.json'
const SHARDS = [1, 2, 3, 4].map((n) => `model-0000${n}-of-00004.safetensors`)
const shards = SHARDS.map((name): Part => [name, readFileSync(new URL(name, FOLDER))])
const index = readFileSync(new URL(INDEX, FOLDER), 'utf8')

const hexOf = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')

function publish(
  ref: string,
  files: readonly Part[],
  fields: Readonly<Record<string, string>> = {},
): Promise<Response> {
  const body = new FormData()
  for (const [path, bytes] of files) body.append('file', new Blob([Buffer.from(bytes)]), path)
  for (const [name, text] of Object.entries(fields)) body.append(name, text)
  return request(`/v1/checkpoints/${ref}`, { token: ADMIN, method: 'POST', body })
}

t.test('shards and their index travel together and become one version', async (t) => {
  const response = await publish('acme/llama/1.0', [...shards, [INDEX, index]])
  const description = await jsonOf(response)
  t.equal(response.status, 201)
  t.equal(response.headers.get('location'), '/v1/checkpoints/acme/llama/1.0')
  const files = [...shards, [INDEX, index] as const].map(([path, bytes]) => ({
    path,
    size: Buffer.byteLength(bytes),
    sha256: hexOf(bytes),
  }))
  t.match(description, { files, size: files.reduce((sum, { size }) => sum + size, 0) })
  const served = await request(`/v1/checkpoints/acme/llama/1.0/files/${INDEX}`)
  t.equal(await served.text(), index)
  const again = await publish('acme/llama/1.0', [[INDEX, index], ...shards])
  t.equal(again.status, 200, 'in any order')
  t.strictSame(await jsonOf(again), description)
})

t.test('an index that names what is not there is refused, and the shards with it', async (t) => {
  const map = (JSON.parse(index) as { weight_map: Record<string, string> }).weight_map
  const [first = ''] = Object.keys(map)
  const wrong = {
    'a tensor that no shard has': { ...map, 'no.such.tensor': SHARDS[0] },
    'a shard that did not come': { ...map, [first]: 'model-00005-of-00004.safetensors' },
    'a shard that has another tensor': {
      ...map,
      [first]: SHARDS.find((name) => name !== map[first]),
    },
  }
  for (const [title, weight_map] of Object.entries(wrong)) {
    const text = JSON.stringify({ metadata: {}, weight_map })
    const response = await publish('acme/wrong-index/1.0', [...shards, [INDEX, text]])
    t.comment(title)
    await problem(t, response, 400, 'INVALID_REQUEST', { errors: [{ field: INDEX }] })
  }
  const broken = await publish('acme/wrong-index/1.0', [...shards, [INDEX, '{"weight_map": ']])
  await problem(t, broken, 400, 'INVALID_REQUEST', { errors: [{ field: INDEX }] })
  const checkpoint = await request('/v1/checkpoints/acme/wrong-index')
  await problem(t, checkpoint, 404, 'NOT_FOUND', { what: 'checkpoint' })
})

t.test('an index lies in the folder of its shards', async (t) => {
  const inFolder = [...shards, [INDEX, index] as const].map(([path, bytes]): Part => [
    `text/encoder/${path}`,
    bytes,
  ])
  const response = await publish('acme/folder/1.0', inFolder)
  t.equal(response.status, 201)
  t.match(await jsonOf(response), { files: inFolder.map(([path]) => ({ path })) })
  const apart = [...shards, [`text/${INDEX}`, index] as const]
  await problem(t, await publish('acme/apart/1.0', apart), 400, 'INVALID_REQUEST')
})

t.test('one bad part, and no version exists', async (t) => {
  const good: Part = ['good.safetensors', smallFile(1)]
  const bad: Part = ['bad.safetensors', Buffer.from('80027d71002e', 'hex')]
  for (const files of [
    [good, bad],
    [bad, good],
  ]) {
    const facts = { reason: 'not_safetensors', looks_like: 'pickle', path: 'bad.safetensors' }
    await problem(t, await publish('acme/part/1.0', files), 422, 'INVALID_SAFETENSORS', facts)
  }
  const sidecar: Part = ['config.json', '{"model_type": "bert"}']
  await problem(t, await publish('acme/part/1.0', [good, sidecar]), 422, 'INVALID_SAFETENSORS')
  await problem(t, await request('/v1/checkpoints/acme/part'), 404, 'NOT_FOUND')
})

t.test('a version says what all its files say, and what the caller adds', async (t) => {
  const files: Part[] = [
    ['a.safetensors', smallFile(1, { format: 'pt', model: 'bert', part: '1' })],
    ['b.safetensors', smallFile(2, { format: 'pt', model: 'bert', part: '2' })],
    ['c.safetensors', smallFile(3, { format: 'pt', model: 'bert' })],
  ]
  const taken = await publish('acme/said/1.0', files, { metadata: '{"epoch": "3"}' })
  t.match(await jsonOf(taken), {
    metadata: { format: 'pt', model: 'bert', epoch: '3' },
    files: [{ metadata: { part: '1' } }, { metadata: { part: '2' } }, {}],
  })
  const contradicted = await publish('acme/said/1.1', files, { metadata: '{"part": "1"}' })
  await problem(t, contradicted, 422, 'METADATA_REFUSED', { key: 'part' })
})

t.test('the digests of a form are held against each file', async (t) => {
  const files: Part[] = [
    ['a.safetensors', smallFile(1)],
    ['b.safetensors', smallFile(2)],
  ]
  const right = Object.fromEntries(files.map(([path, bytes]) => [path, hexOf(bytes)]))
  const zeros = '0'.repeat(64)
  for (const [sha256, facts] of [
    [
      { ...right, 'b.safetensors': zeros },
      { expected: zeros, actual: right['b.safetensors'] },
    ],
    [
      { ...right, 'c.safetensors': zeros },
      { expected: zeros, actual: null },
    ],
  ] as const) {
    const refused = await publish('acme/digests/1.0', files, { sha256: JSON.stringify(sha256) })
    await problem(t, refused, 422, 'DIGEST_MISMATCH', facts)
  }
  const taken = await publish('acme/digests/1.0', files, { sha256: JSON.stringify(right) })
  t.equal(taken.status, 201)
})

t.test('a form that says something else than it may is refused', async (t) => {
  const file: Part = ['a.safetensors', smallFile(1)]
  const sameName: Part = ['a.safetensors', smallFile(2)]
  for (const [files, fields, field] of [
    [[], {}, 'files'],
    [[file, sameName], {}, 'files'],
    [[file], { metadata: '[]' }, 'body.metadata'],
    [[file], { metadata: '{"a": 1}' }, 'body.metadata'],
    [[file], { metadata: '{"a": ' }, 'body.metadata'],
    [[file], { sha256: '{"a.safetensors": "abc"}' }, 'body.sha256.a.safetensors'],
    [[file], { colour: 'red' }, 'body.colour'],
  ] as const) {
    const response = await publish('acme/form/1.0', files, fields)
    await problem(t, response, 400, 'INVALID_REQUEST', { errors: [{ field }] })
  }
  for (const path of ['../a.safetensors', '/a.safetensors', 'a\\b.safetensors']) {
    const response = await publish('acme/form/1.0', [[path, smallFile()]])
    await problem(t, response, 400, 'INVALID_NAME', { what: 'path' })
  }
})

const sendRaw = (boundary: string, body: string) =>
  request('/v1/checkpoints/acme/raw/1.0', {
    token: ADMIN,
    method: 'POST',
    headers: { 'content-type': `multipart/form-data${boundary}` },
    body,
  })

t.test('a form that breaks off or has no boundary is the caller’s mistake', async (t) => {
  const part = '--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
  const cut = await sendRaw('; boundary=b', `${part}${Buffer.from(smallFile()).toString('latin1')}`)
  await problem(t, cut, 400, 'INVALID_REQUEST', { errors: [{ field: 'body' }] })
  const nameless = '--b\r\ncontent-disposition: form-data; name="file"\r\n'
  const octets = `${nameless}content-type: application/octet-stream\r\n\r\nx\r\n--b--\r\n`
  const unnamed = await sendRaw('; boundary=b', octets)
  await problem(t, unnamed, 400, 'INVALID_REQUEST', { errors: [{ field: 'body.file' }] })
  const unbounded = await sendRaw('', part)
  await problem(t, unbounded, 400, 'INVALID_REQUEST', { errors: [{ field: 'body' }] })
  await problem(t, await request('/v1/checkpoints/acme/raw'), 404, 'NOT_FOUND')
})
