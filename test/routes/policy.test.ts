import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { jsonOf, problem, smallFile, type Json } from './wire.ts'

const server = await startServer(t)
const { put, request, token } = server

const UNSET = {
  require_metadata: [],
  expect_metadata: {},
  same_tensors_as: null,
  finite: false,
  sidecars: false,
  max_size: null,
  protected_tags: [],
  require_signature: false,
}

const policyOf = (of: string): string =>
  of.includes('/') ? `/v1/checkpoints/${of}/policy` : `/v1/owners/${of}/policy`

/** Sets the policy of an owner or of `owner/name`. */
const set = (of: string, rules: unknown, as = ADMIN): Promise<Response> =>
  request(policyOf(of), {
    token: as,
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(rules),
  })

const get = async (of: string, query = ''): Promise<Json> =>
  jsonOf(await request(policyOf(of) + query))

t.test('without a policy everything is as if it said nothing', async (t) => {
  t.strictSame(await get('acme/none'), UNSET)
  t.strictSame(await get('acme'), UNSET)
  t.strictSame(await get('acme/none', '?own=1'), {})
  t.strictSame(await get('acme', '?own=1'), {})
})

t.test('the nearest level wins, key by key, and a level is replaced whole', async (t) => {
  const ofOwner = { finite: true, max_size: 1000, expect_metadata: { model: ['bert', 'gpt'] } }
  const set1 = await set('levels', ofOwner)
  t.equal(set1.status, 200)
  t.strictSame(await jsonOf(set1), { ...UNSET, ...ofOwner })
  const ofCheckpoint = { max_size: null, require_metadata: ['model'] }
  const set2 = await set('levels/one', ofCheckpoint)
  t.strictSame(await jsonOf(set2), { ...UNSET, ...ofOwner, ...ofCheckpoint })
  t.strictSame(await get('Levels/ONE'), { ...UNSET, ...ofOwner, ...ofCheckpoint })
  t.strictSame(await get('levels/one', '?own=1'), ofCheckpoint)
  t.strictSame(await get('levels', '?own=1'), ofOwner)
  t.strictSame(await get('levels/two'), { ...UNSET, ...ofOwner })
  t.strictSame(await jsonOf(await set('levels', { sidecars: true })), { ...UNSET, sidecars: true })
  t.strictSame(await get('levels/one'), { ...UNSET, sidecars: true, ...ofCheckpoint })
})

t.test('a checkpoint tells the policy in force', async (t) => {
  await set('told', { finite: true })
  await set('told/one', { require_metadata: ['model'] })
  await put('told/one/1.0', smallFile(), { query: '?meta.model=bert' })
  const { policy } = await jsonOf(await request('/v1/checkpoints/told/one'))
  t.strictSame(policy, { ...UNSET, finite: true, require_metadata: ['model'] })
})

t.test('who may read and who may set a policy', async (t) => {
  await set('rights', { finite: true })
  const table = [
    ['reader', '*', 200, 403, 200, 403],
    ['writer', '*', 200, 403, 200, 403],
    ['auditor', '*', 200, 403, 200, 403],
    ['detector', '*', 403, 403, 403, 403],
    ['admin', '*', 200, 200, 200, 200],
    ['admin', 'rights/*', 200, 200, 200, 200],
    ['admin', 'rights/o*', 200, 200, 200, 403],
    ['admin', 'rights/one', 200, 200, 200, 403],
    ['admin', 'right/*', 404, 403, 404, 403],
    ['reader', 'rights/one', 200, 403, 200, 403],
    ['reader', 'rights/two', 404, 403, 200, 403],
    ['reader', 'other/*', 404, 403, 404, 403],
  ] as const
  for (const [role, scope, ...statuses] of table) {
    const as = await token(role, scope)
    const answers = [
      await request(policyOf('RIGHTS/one'), { token: as }),
      await set('RIGHTS/one', {}, as),
      await request(policyOf('Rights'), { token: as }),
      await set('Rights', { finite: true }, as),
    ]
    t.strictSame(
      answers.map(({ status }) => status),
      statuses,
      `${role} of ${scope}`,
    )
  }
  t.equal((await request(policyOf('rights'), { token: undefined })).status, 401)
})

t.test('a change is entered with what it replaced, and no change is none', async (t) => {
  const entries = async (subject: string) => {
    const query = `?action=policy&subject=${encodeURIComponent(subject)}`
    const { items } = await jsonOf(await request(`/v1/audit${query}`))
    return items as readonly Json[]
  }
  await put('Entered/Bert/1.0', smallFile())
  await set('entered/bert', { finite: true })
  await set('ENTERED/bert', { finite: true })
  await set('entered/bert', {})
  t.match(await entries('Entered/Bert'), [
    { outcome: 'ok', who: { name: 'admin' }, details: { rules: { finite: true }, replaced: null } },
    { details: { rules: {}, replaced: { finite: true } } },
  ])
  t.equal((await entries('Entered/Bert')).length, 2)
  await set('entered', { sidecars: true })
  t.match(await entries('entered'), [{ details: { rules: { sidecars: true }, replaced: null } }])
  t.match(await jsonOf(await request('/v1/audit/verify')), { valid: true })
})

t.test('who reaches for a policy out of scope is entered too', async (t) => {
  const as = await token('admin', 'elsewhere/*')
  await problem(t, await set('reached/for', {}, as), 403, 'FORBIDDEN')
  await problem(t, await set('reached', {}, as), 403, 'FORBIDDEN')
  for (const subject of ['reached/for', 'reached']) {
    const audit = await request(`/v1/audit?action=refuse&subject=${encodeURIComponent(subject)}`)
    t.match(await jsonOf(audit), { items: [{ outcome: 'FORBIDDEN', details: { method: 'PUT' } }] })
  }
})

t.test('rules that make no sense are refused, each by its name', async (t) => {
  const many = Array.from({ length: 101 }, (_, i) => `k${i}`)
  const table: readonly (readonly [Json, string])[] = [
    [{ finit: true }, 'body.finit'],
    [{ finite: 'yes' }, 'body.finite'],
    [{ finite: null }, 'body.finite'],
    [{ max_size: 0 }, 'body.max_size'],
    [{ max_size: 1.5 }, 'body.max_size'],
    [{ max_size: 2 ** 53 }, 'body.max_size'],
    [{ require_metadata: many }, 'body.require_metadata'],
    [{ require_metadata: [''] }, 'body.require_metadata.0'],
    [{ require_metadata: 'model' }, 'body.require_metadata'],
    [{ expect_metadata: { model: [] } }, 'body.expect_metadata.model'],
    [{ expect_metadata: { model: 3 } }, 'body.expect_metadata.model'],
    [{ expect_metadata: { model: 'x'.repeat(4097) } }, 'body.expect_metadata.model'],
    [{ expect_metadata: Object.fromEntries(many.map((k) => [k, k])) }, 'body.expect_metadata'],
    [{ protected_tags: ['pro duction'] }, 'body.protected_tags.0'],
    [{ protected_tags: ['[a-z]'] }, 'body.protected_tags.0'],
    [{ protected_tags: many }, 'body.protected_tags'],
    [{ require_signature: true }, 'body.require_signature'],
    [{ same_tensors_as: 7 }, 'body.same_tensors_as'],
  ]
  for (const [rules, field] of table) {
    for (const level of ['acme/bad', 'acme-bad']) {
      const response = await set(level, rules)
      await problem(t, response, 400, 'INVALID_REQUEST', { errors: [{ field, detail: /./ }] })
    }
  }
  const values = Array.from({ length: 9 }, (_, i) => String(i).repeat(4000))
  const large = await set('acme/bad', { expect_metadata: { model: values } })
  await problem(t, large, 413, 'TOO_LARGE', { limit: 32768 })
  await problem(t, await set('acme/bad', null), 400, 'INVALID_REQUEST')
  await problem(t, await set('docs/bad', {}), 400, 'INVALID_NAME', { what: 'owner' })
  await problem(t, await set('docs', {}), 400, 'INVALID_NAME', { what: 'owner' })
  await problem(t, await set('acme/b..d', {}), 400, 'INVALID_NAME', { what: 'name' })
  t.strictSame(await get('acme/bad', '?own=1'), {})
})

t.test('a policy that refers to itself, or to what is not there, is refused', async (t) => {
  await put('same/base/1.0', smallFile())
  const errors = [{ field: 'body.same_tensors_as', detail: /./ }]
  for (const ref of [
    'policy',
    'tags',
    'main',
    '',
    '2.0',
    'same/base',
    'same/base@',
    'same/base@2.0',
    'same/base@policy',
    'same/none@latest',
    'same/new@latest',
    'docs/base@1.0',
    'same/*@1.0',
    'a/same/base@1.0',
    '../base@1.0',
    '0123456789abcdef',
  ]) {
    const refused = await set('same/new', { same_tensors_as: ref })
    await problem(t, refused, 400, 'INVALID_REQUEST', { errors })
    await problem(t, await set('same', { same_tensors_as: ref }), 400, 'INVALID_REQUEST', {
      errors,
    })
  }
  for (const ref of ['latest', 'same/base@1.0', 'Same/Base@latest', null]) {
    t.equal((await set('same/new', { same_tensors_as: ref })).status, 200, String(ref))
    t.equal((await set('same', { same_tensors_as: ref })).status, 200, String(ref))
  }
  t.equal((await set('same/base', { same_tensors_as: '1.0' })).status, 200)
  const bare = await set('same', { same_tensors_as: '1.0' })
  await problem(t, bare, 400, 'INVALID_REQUEST', { errors })
})

t.test('a policy may name only what its admin could read', async (t) => {
  await put('hidden/base/1.0', smallFile())
  const as = await token('admin', 'open/*')
  const refused = await set('open/bert', { same_tensors_as: 'hidden/base@1.0' }, as)
  const absent = await set('open/bert', { same_tensors_as: 'hidden/none@1.0' }, as)
  const problems = [
    await problem(t, refused, 400, 'INVALID_REQUEST'),
    await problem(t, absent, 400, 'INVALID_REQUEST'),
  ].map((body) => ({ ...body, request_id: '' }))
  t.strictSame(problems[0], problems[1], 'nor tell whether it is there')
})

t.test('the address of a policy knows no other method', async (t) => {
  const response = await request(policyOf('acme/none'), { token: ADMIN, method: 'DELETE' })
  await problem(t, response, 405, 'METHOD_NOT_ALLOWED')
  const head = await request(policyOf('acme/none'), { token: ADMIN, method: 'HEAD' })
  t.equal(head.status, 200)
})
