import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { type Json, jsonOf } from '../routes/wire.ts'
import { download, fileOf, hashOf, load, pathOf, type StateDict, values } from './state-dict.ts'

const server = await startServer(t)
const { put, request } = server

const DICT: StateDict = {
  'encoder.weight': values(64 * 32),
  'encoder.bias': values(32, 2),
  'decoder.weight': values(32 * 64, 3),
}

t.test('save and load', async (t) => {
  t.equal((await put('seed/simple/1.0', fileOf(DICT))).status, 201)
  t.strictSame(load(await download(server, 'seed/simple/1.0')), DICT)
})

t.test('save and load with metadata', async (t) => {
  const metadata = { version: '1.0', epoch: '10', loss: '0.5', created_at: '2024-05-01T12:00:00Z' }
  const published = await put('seed/metadata/1.0', fileOf(DICT, metadata))
  t.match(await jsonOf(published), { metadata, files: [{ metadata }], warnings: { length: 0 } })
  t.match(await jsonOf(await request('/v1/checkpoints/seed/metadata/1.0')), { metadata })
  const file = await download(server, 'seed/metadata/1.0')
  t.strictSame(file, Buffer.from(fileOf(DICT, metadata)), 'the file says it still')
})

t.test('load to a different device', async (t) => {
  await put('seed/device/1.0', fileOf(DICT))
  const devices = ['cpu', 'cuda:0', 'mps'].map((device) =>
    request(pathOf('seed/device/1.0'), { token: ADMIN, headers: { 'x-device': device } }),
  )
  for (const response of await Promise.all(devices)) {
    const bytes = Buffer.from(await response.arrayBuffer())
    t.strictSame(
      load(bytes),
      DICT,
      'where tensors go is the client’s choice: the bytes are the same',
    )
  }
})

t.test('an empty state dict', async (t) => {
  const published = await put('seed/empty/1.0', fileOf({}))
  t.match(await jsonOf(published), { tensors: 0, parameters: 0 })
  t.strictSame(load(await download(server, 'seed/empty/1.0')), {})
})

t.test('large tensors', async (t) => {
  const shape = [1000, 1000]
  const names = ['layer.0', 'layer.1', 'layer.2', 'layer.3', 'layer.4']
  const dict = Object.fromEntries(names.map((name, i) => [name, values(1_000_000, i)]))
  const file = writeSafetensors(
    names.map((name) => ({
      name,
      dtype: 'F32',
      shape,
      bytes: new Uint8Array(dict[name]?.buffer ?? new ArrayBuffer()),
    })),
  )
  const published = await put('seed/large/1.0', file)
  t.match(await jsonOf(published), { tensors: 5, parameters: 5_000_000 })
  const read = load(await download(server, 'seed/large/1.0'))
  for (const name of names) t.equal(Buffer.compare(bytes(read[name]), bytes(dict[name])), 0)
  const page = await jsonOf(await request('/v1/checkpoints/seed/large/1.0/tensors'))
  for (const item of page['items'] as readonly Json[]) t.strictSame(item['shape'], shape)
})

const bytes = (floats = new Float32Array()) =>
  Buffer.from(floats.buffer, floats.byteOffset, floats.byteLength)

t.test('a tensor of ten million parameters', async (t) => {
  const file = fileOf({ weight: values(10_000_000) })
  t.match(await jsonOf(await put('seed/huge/1.0', file)), { parameters: 10_000_000 })
  t.ok((await download(server, 'seed/huge/1.0')).equals(file))
})

t.test('special dtypes', async (t) => {
  const dtypes = { F32: 4, F16: 2, BF16: 2, I8: 1, I64: 8 }
  const file = writeSafetensors(
    Object.entries(dtypes).map(([dtype, size], i) => ({
      name: dtype.toLowerCase(),
      dtype,
      shape: [3, 5],
      bytes: new Uint8Array(15 * size).fill(i + 1),
    })),
  )
  t.equal((await put('seed/dtypes/1.0', file)).status, 201)
  t.ok((await download(server, 'seed/dtypes/1.0')).equals(file))
  const page = await jsonOf(await request('/v1/checkpoints/seed/dtypes/1.0/tensors'))
  const items = page['items'] as readonly Json[]
  t.strictSame(
    Object.fromEntries(items.map(({ dtype, size }) => [dtype, Number(size) / 15])),
    dtypes,
  )
})

t.test('several checkpoints side by side', async (t) => {
  const refs = ['seed/one/1.0', 'seed/one/2.0', 'seed/two/1.0', 'other/one/1.0']
  const dicts = refs.map((_, i) => ({ weight: values(100, i) }))
  await Promise.all(refs.map((ref, i) => put(ref, fileOf(dicts[i] ?? {}))))
  for (const [i, ref] of refs.entries()) t.strictSame(load(await download(server, ref)), dicts[i])
})

t.test('the same bytes hash the same across saves', async (t) => {
  const hashes: unknown[] = []
  for (const ref of ['seed/same/1.0', 'seed/same/1.1', 'seed/same-again/1.0']) {
    const { files } = await jsonOf(await put(ref, fileOf(DICT, { b: '2', a: '1' })))
    hashes.push((files as readonly Json[])[0]?.['sha256'])
  }
  const expected = hashOf(fileOf(DICT, { a: '1', b: '2' }))
  t.strictSame(hashes, [expected, expected, expected])
})

t.test('unicode metadata', async (t) => {
  const metadata = {
    автор: 'Zoë Müller',
    描述: '一个很小的模型',
    emoji: '👩‍🔬🔒',
    lines: 'one\ntwo\t"three" \\ four',
    __proto: 'own',
    constructor: 'own',
  }
  const published = await put('seed/unicode/1.0', fileOf(DICT, metadata))
  t.strictSame((await jsonOf(published))['metadata'], metadata)
  const query = new URLSearchParams()
  for (const [key, value] of Object.entries(metadata)) query.set(`meta.${key}`, value)
  const asked = await put('seed/unicode/2.0', fileOf(DICT), { query: `?${String(query)}` })
  t.strictSame((await jsonOf(asked))['metadata'], metadata)
})

const SCRIPT = `
import json, sys
from safetensors import safe_open, deserialize
with safe_open(sys.argv[1], framework='numpy') as file:
    print(json.dumps(file.metadata()))
with open(sys.argv[1], 'rb') as file:
    read = {name: bytes(tensor['data']).hex() for name, tensor in deserialize(file.read())}
print(json.dumps(read))
`

t.test('what Python reads is what was saved', async (t) => {
  const python = process.env['PYTHON'] ?? 'python3'
  if (spawnSync(python, ['-c', 'import safetensors, numpy']).status !== 0) {
    t.comment('NOT COMPARED: python3 has no safetensors here; `pip install safetensors numpy`')
    t.pass('the reference reader is no dependency of the registry')
    return
  }
  const metadata = { format: 'pt', автор: 'Zoë' }
  await put('seed/python/1.0', fileOf(DICT, metadata))
  const path = join(t.testdir(), 'model.safetensors')
  writeFileSync(path, await download(server, 'seed/python/1.0'))
  const { stdout } = spawnSync(python, ['-c', SCRIPT, path], { encoding: 'utf8' })
  const [readMetadata = '', readTensors = ''] = stdout.split('\n')
  t.strictSame(JSON.parse(readMetadata), metadata)
  t.strictSame(
    JSON.parse(readTensors),
    Object.fromEntries(
      Object.entries(DICT).map(([n, floats]) => [n, bytes(floats).toString('hex')]),
    ),
  )
})
