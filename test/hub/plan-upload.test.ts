import t from 'tap'
import { planUpload } from '../../src/hub/plan-upload.ts'
import { kindOf } from '../../src/registry/file-kinds.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { weights } from './registry.ts'

const LIMIT = 1000
const SAMPLE = 512
const MOST = 1_000_000
const PICKLE = Buffer.from('\x80\x02ctorch._utils\n_rebuild_tensor_v2\n', 'latin1')

const entry = (path: string, bytes: Uint8Array | string, sizeBytes?: number) => {
  const whole = Buffer.from(bytes)
  return { path, sizeBytes: sizeBytes ?? whole.length, sample: whole.subarray(0, SAMPLE) }
}
const plan = (files: readonly ReturnType<typeof entry>[], sidecars = true) =>
  planUpload(files, (path) => kindOf(path, sidecars), {
    maxSidecarBytes: LIMIT,
    maxBytes: MOST,
  })

t.test('weights go by themselves, what describes them inside the commit', async (t) => {
  const files = [
    entry('model.safetensors', weights('a', 3000)),
    entry('tiny.safetensors', writeSafetensors([])),
    entry('config.json', '{}'),
    entry('README.md', '# Model'),
    entry('model.safetensors.index.json', '{"weight_map":{}}'),
    // A character that the sample cuts in two.
    entry('vocab.txt', `${'x'.repeat(511)}éé`),
    entry('training_args.bin', PICKLE),
  ]
  const planned = await plan(files)
  const [leftOut, sent] = [planned.at(-1), planned.slice(0, -1)]
  t.match(leftOut, { path: 'training_args.bin', leftOut: /pickles/ })
  t.same(
    sent.map(({ path, mode, leftOut }) => leftOut ?? `${mode} ${path}`),
    [
      ...['lfs model.safetensors', 'lfs tiny.safetensors', 'regular config.json'],
      ...['regular README.md', 'regular model.safetensors.index.json', 'regular vocab.txt'],
    ],
  )
  t.same(await plan([]), [])
})

const REFUSED: readonly (readonly [string, ReturnType<typeof entry>, RegExp])[] = [
  ['a pickle by name, alone', entry('pytorch_model.bin', PICKLE), /strongroom migrate/],
  ['a pickle under an innocent name', entry('model.safetensors', PICKLE), /strongroom migrate/],
  ['a pickle as text', entry('notes.txt', PICKLE), /./],
  ['a program', entry('modeling.py', 'import os'), /programs/],
  ['a sidecar that is too large', entry('README.md', 'x', LIMIT + 1), /larger than 1000 bytes/],
  ['an index that is too large', entry('m.safetensors.index.json', '{', LIMIT + 1), /larger/],
  ['JSON that is none', entry('config.json', '{a'), /./],
  ['a text without a byte', entry('empty.txt', ''), /empty/],
  ['weights without a byte', entry('model.safetensors', ''), /./],
  ['weights that say less than they hold', entry('m.safetensors', weights('a', 100), 101), /./],
  ['weights cut short', entry('m.safetensors', weights('a', 3000), 700), /./],
]
for (const [what, file, detail] of REFUSED)
  t.test(`${what}: refused, with a sentence for a person`, async (t) => {
    const refusal: unknown = await plan([file]).catch((error: unknown) => error)
    t.match(refusal, {
      code: 'INVALID_REQUEST',
      facts: { errors: [{ field: `${file.path}:`, detail }] },
    })
  })

t.test('a path that leaves the repository is no path', async (t) => {
  for (const path of ['../m.safetensors', '/m.safetensors', 'a//b.json', 'a\\b.json', ''])
    await t.rejects(plan([entry(path, '{}')]), { code: /INVALID_(NAME|REQUEST)/ }, path)
})

t.test('where the policy admits no sidecars, that is why', async (t) => {
  const error: unknown = await plan([entry('config.json', '{}')], false).catch(
    (error: unknown) => error,
  )
  t.match(error, { facts: { errors: [{ detail: /admits no sidecars/ }] } })
})

t.test('more than the policy lets a version have is refused before it is sent', async (t) => {
  const half = entry('a.safetensors', weights('a', 3000).subarray(0, 20), MOST / 2)
  const rest = { ...half, path: 'b.safetensors' }
  t.equal((await plan([half, rest])).length, 2)
  const more = [half, rest, entry('config.json', '{}')]
  await t.rejects(plan(more), { message: 'This file is refused.' })
  t.equal((await plan([half, rest, entry('training_args.bin', PICKLE)])).length, 3)
})
