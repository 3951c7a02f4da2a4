// The seed checked a checkpoint's metadata when it was saved: its version, its model's type, its date. Here that is one
// policy, the one of docs/policy.md.

import { readFileSync } from 'node:fs'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { problem } from '../routes/wire.ts'
import { fileOf, values } from './state-dict.ts'

const guide = readFileSync(new URL('../../docs/policy.md', import.meta.url), 'utf8')
/** As the guide's reader copies it. */
const [, POLICY = ''] = /## Version, model and date.*?```json\n(.*?)```/s.exec(guide) ?? []

const { put, request } = await startServer(t)
await request('/v1/owners/seed/policy', {
  token: ADMIN,
  method: 'PUT',
  headers: { 'content-type': 'application/json' },
  body: POLICY,
})

const GOOD = { version: '1.0', model: 'llama-3.1-8b', created_at: '2024-05-01T12:00:00Z' }
let seed = 1
const save = (ref: string, metadata: Readonly<Record<string, string>>): Promise<Response> =>
  put(ref, fileOf({ weight: values(8, seed++) }, metadata))

const without = (key: keyof typeof GOOD): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(GOOD).filter(([other]) => other !== key))

t.test('valid metadata is saved', async (t) => {
  t.equal((await save('seed/valid/1.0', GOOD)).status, 201)
})

t.test('metadata without a version, a model or a date is not', async (t) => {
  for (const key of ['version', 'model', 'created_at'] as const) {
    const refused = await save('seed/incomplete/1.0', without(key))
    await problem(t, refused, 422, 'METADATA_REFUSED', { rule: 'require_metadata', key })
  }
})

t.test('metadata of another version is not', async (t) => {
  const refused = await save('seed/mixed/1.0', { ...GOOD, version: '2.0' })
  const facts = { rule: 'expect_metadata', key: 'version' }
  await problem(t, refused, 422, 'METADATA_REFUSED', facts)
})

t.test('metadata of another type of model is not', async (t) => {
  const refused = await save('seed/other/1.0', { ...GOOD, model: 'gpt-2' })
  await problem(t, refused, 422, 'METADATA_REFUSED', { rule: 'expect_metadata', key: 'model' })
})

t.test('metadata of a date that is none, or lies ahead, is not', async (t) => {
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString()
  for (const date of ['yesterday', '2024-02-30', '', tomorrow]) {
    const refused = await save('seed/undated/1.0', { ...GOOD, created_at: date })
    const facts = { rule: 'require_metadata', key: 'created_at' }
    await problem(t, refused, 422, 'METADATA_REFUSED', facts)
  }
})

t.test('the type of model by its tensors', async (t) => {
  const setPolicy = (rules: object) =>
    request('/v1/checkpoints/seed/typed/policy', {
      token: ADMIN,
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(rules),
    })
  t.equal((await setPolicy({ same_tensors_as: 'latest' })).status, 200)
  t.equal((await save('seed/typed/1.0', GOOD)).status, 201)
  const other = await put(
    'seed/typed/2.0',
    fileOf({ bias: values(8) }, { ...GOOD, version: '2.0' }),
  )
  const facts = { rule: 'same_tensors_as', tensor: 'bias' }
  await problem(t, other, 422, 'METADATA_REFUSED', facts)
  t.equal((await save('seed/typed/2.0', { ...GOOD, version: '2.0' })).status, 201)
})
