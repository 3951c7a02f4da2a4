import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  checkpoint,
  dict,
  float,
  int,
  list,
  tensor,
  text,
} from '../../bench/fuzz-pickle/assembler.ts'
import { run } from '../cli/fixture.ts'
import { weightsOf } from '../pickle/converting.ts'
import { hashOf, values } from './state-dict.ts'

// The seed's own tool read with torch.load; here nothing of a checkpoint is run.

const WEIGHT = values(6)
const BYTES = Buffer.from(WEIGHT.buffer)
const BIAS = values(2, 2)
const STORAGES = { 0: BYTES, 1: Buffer.from(BIAS.buffer) }
const MODEL = {
  'layer.weight': tensor(),
  'layer.bias': tensor({ key: '1', count: 2, shape: [2], strides: [1] }),
}
const READ = {
  'layer.weight': { dtype: 'F32', shape: [2, 3], hex: BYTES.toString('hex') },
  'layer.bias': { dtype: 'F32', shape: [2], hex: STORAGES[1].toString('hex') },
}

interface Told {
  readonly files: readonly Readonly<Record<string, unknown>>[]
}

async function migrated(
  folder: string,
  name: string,
): Promise<{ told: Readonly<Record<string, unknown>>; file: Buffer }> {
  const { code, stdout, stderr } = await run(['migrate', name, '--json'], {}, folder)
  const [told = {}] = code === 0 ? (JSON.parse(stdout) as Told).files : []
  if (code !== 0) throw new Error(stdout + stderr)
  return { told, file: readFileSync(join(folder, String(told['target']))) }
}

t.test('migrate pytorch to safetensors', async (t) => {
  const object = dict({
    state_dict: dict(MODEL),
    epoch: int(5),
    loss: float(0.25),
    version: text('1.0'),
  })
  const source = checkpoint(object, STORAGES)
  const { told, file } = await migrated(t.testdir({ 'model.pt': source }), 'model.pt')
  t.match(told, {
    outcome: 'migrated',
    target: 'model.safetensors',
    sha256: hashOf(file),
    source_sha256: hashOf(source),
    tensors: 2,
  })
  t.strictSame(weightsOf(file), READ)
  const header = file.subarray(8, 8 + file.readUInt32LE()).toString()
  const { __metadata__: metadata } = JSON.parse(header) as { __metadata__: unknown }
  t.match(metadata, { epoch: '5', loss: '0.25', version: '1.0', source_sha256: hashOf(source) })
})

t.test('migrate pytorch checkpoint with extra keys', async (t) => {
  const object = dict({
    model_state_dict: dict(MODEL),
    optimizer_state_dict: dict({ state: dict({}), param_groups: list(dict({ lr: float(0.1) })) }),
    epoch: int(10),
  })
  const folder = t.testdir({ 'model.pth': checkpoint(object, STORAGES) })
  const { told, file } = await migrated(folder, 'model.pth')
  t.match(told, { root: 'model_state_dict', dropped: ['optimizer_state_dict'] })
  t.strictSame(weightsOf(file), READ)
})

t.test('migrate nonexistent pytorch file fails', async (t) => {
  const ended = await run(['migrate', 'missing.pt'], {}, t.testdir())
  t.match(ended, { code: 2, stdout: '', stderr: /missing\.pt: there is no such file/ })
})

t.test('migrate invalid extension fails', async (t) => {
  const folder = t.testdir({
    'model.txt': 'not a checkpoint',
    'model.pt': 'not one either',
    'checkpoint.txt': checkpoint(dict(MODEL), STORAGES),
  })
  const ended = await run(
    ['migrate', 'model.txt', 'model.pt', 'checkpoint.txt', '--json'],
    {},
    folder,
  )
  t.equal(ended.code, 1)
  t.match((JSON.parse(ended.stdout) as Told).files, [
    { outcome: 'failed', error: /it is no checkpoint of torch\.save/ },
    { outcome: 'failed', error: /it is no checkpoint of torch\.save/ },
    { outcome: 'migrated', target: 'checkpoint.txt.safetensors' },
  ])
})
