import { Ajv2020 } from 'ajv/dist/2020.js'
import ajvFormats from 'ajv-formats'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN } from '../helpers/server.ts'
import { GOOD as CHECKPOINT } from '../../bench/fuzz-pickle/assembler.ts'
import { startDetecting } from './detecting.ts'
import { type Json, smallFile } from './wire.ts'

/** As published by the OpenAPI Initiative: https://spec.openapis.org/oas/3.1/schema/2026-08-03 */
const OPENAPI_3_1 = JSON.parse(
  readFileSync(new URL('openapi-3.1.schema.json', import.meta.url), 'utf8'),
) as Json

type Content = Readonly<Record<string, { readonly schema: Json }>>
interface Operation {
  readonly operationId: string
  readonly summary?: string
  readonly description?: string
  readonly tags?: readonly string[]
  readonly security: readonly Json[]
  readonly parameters?: readonly {
    readonly in: string
    readonly name: string
    readonly schema: Json
  }[]
  readonly requestBody?: { readonly content: Content }
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>
}
interface Document {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

const { request, put, token } = await startDetecting(t)
const document = (await (await request('/openapi.json', { token: undefined })).json()) as Document
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
)

const ajv = new Ajv2020({ strict: false, allErrors: true })
ajvFormats.default(ajv)
ajv.addFormat('media-range', true)

t.test('the document is valid by the schema of OpenAPI 3.1', async (t) => {
  const validate = ajv.compile(OPENAPI_3_1)
  t.equal(validate(document), true, ajv.errorsText(validate.errors))
})

t.test('every schema in it is a JSON Schema', async (t) => {
  for (const { operation } of operations) {
    const { parameters = [], requestBody, responses } = operation
    const contents = [requestBody, ...Object.values(responses)].map((body) => body?.content ?? {})
    for (const { schema } of [...parameters, ...contents.flatMap((each) => Object.values(each))])
      t.ok(ajv.validateSchema(schema))
  }
})

t.test('every operation has a name of its own, a summary, a tag and its parameters', async (t) => {
  const ids = operations.map(({ operation }) => operation.operationId)
  t.equal(new Set(ids).size, ids.length)
  const shapes = Object.keys(document.paths).map((path) => path.replace(/\{\w+\}/g, '{}'))
  t.equal(new Set(shapes).size, shapes.length, 'no two paths differ in names of parameters only')
  for (const { path, method, operation } of operations) {
    t.match(operation, { summary: /./, tags: { length: 1 } }, `${method} ${path}`)
    const inPath = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path')
    t.strictSame(
      inPath.map(({ name }) => `{${name}}`).sort(),
      (path.match(/\{[^}]+\}/g) ?? []).sort(),
      path,
    )
  }
})

t.test('every route of the contract is in it', async (t) => {
  const described = new Set(operations.map(({ method, path }) => `${method} ${path}`))
  const version = '/v1/checkpoints/{owner}/{name}/{ref}'
  for (const route of [
    `put ${version}`,
    `post ${version}`,
    `get ${version}`,
    `get ${version}/files/{path}`,
    `get ${version}/tensors`,
    `get ${version}/tensor`,
    `head ${version}/tensor`,
    `get ${version}/select`,
    `head ${version}/select`,
    `get ${version}/hashes`,
    `post ${version}/verify`,
    'get /v1/checkpoints/{owner}/{name}/diff',
    'get /v1/checkpoints',
    'get /v1/checkpoints/{owner}/{name}',
    'get /v1/checkpoints/{owner}/{name}/policy',
    'put /v1/checkpoints/{owner}/{name}/policy',
    'put /v1/checkpoints/{owner}/{name}/tags/{tag}',
    'get /v1/checkpoints/{owner}/{name}/tags/{tag}',
    'delete /v1/checkpoints/{owner}/{name}/tags/{tag}',
    'get /v1/checkpoints/{owner}/{name}/tags/{tag}/history',
    `delete ${version}`,
    'get /v1/owners/{owner}/policy',
    'put /v1/owners/{owner}/policy',
    'get /livez',
    'get /readyz',
    'get /health',
    'get /metrics',
    'get /openapi.json',
    'get /v1/whoami',
    'get /v1/tokens',
    'post /v1/tokens',
    'delete /v1/tokens/{id}',
    'get /v1/audit',
    'get /v1/audit/verify',
    'post /v1/migrate/{owner}/{name}/{version}',
    'post /v1/scan',
    'post /detect',
    'post /detect-pii',
    'post /detect/activations',
    'get /detect/models',
    'post /analyze',
    'get /supportedentities',
    'get /recognizers',
    'get /{owner}/{name}/resolve/{rev}/{path}',
    'head /{owner}/{name}/resolve/{rev}/{path}',
    'get /{owner}/{name}/raw/{rev}/{path}',
    'head /{owner}/{name}/raw/{rev}/{path}',
    'get /{owner}/{name}',
    'get /api/models',
    'get /api/models/{owner}/{name}',
    'get /api/models/{owner}/{name}/revision/{rev}',
    'get /api/models/{owner}/{name}/tree/{rev}',
    'get /api/models/{owner}/{name}/tree/{rev}/{path}',
    'post /api/models/{owner}/{name}/paths-info/{rev}',
    'get /api/models/{owner}/{name}/safetensors-metadata/{path}',
    'get /api/models/{owner}/{name}/auth-check',
    'get /api/models/{owner}/{name}/auth-check/write',
    'get /api/whoami-v2',
    'post /api/repos/create',
    'delete /api/repos/delete',
    'post /api/validate-yaml',
    'post /api/models/{owner}/{name}/preupload/{rev}',
    'post /{owner}/{repo}/info/lfs/objects/batch',
    'post /api/models/{owner}/{name}/lfs/verify',
    'put /api/lfs/object/{grant}',
    'put /api/lfs/part/{grant}',
    'post /api/lfs/complete/{grant}',
    'get /api/models/{owner}/{name}/xet-write-token/{rev}',
    'post /cas/{nonce}/v1/xorbs/default/{hash}',
    'post /cas/{nonce}/v1/shards',
    'post /cas/{nonce}/v2/shards',
    'post /cas/{nonce}/shards',
    'post /api/models/{owner}/{name}/commit/{rev}',
    'get /api/models/{owner}/{name}/refs',
    'get /api/models/{owner}/{name}/commits/{rev}',
    'post /api/models/{owner}/{name}/branch/{branch}',
    'delete /api/models/{owner}/{name}/branch/{branch}',
    'post /api/models/{owner}/{name}/tag/{rev}',
    'delete /api/models/{owner}/{name}/tag/{rev}',
  ]) {
    t.ok(described.has(route), route)
  }
})

t.test('what asks for a token says so, and how it refuses', async (t) => {
  const open = operations.filter(({ operation }) => operation.security.length === 0)
  const paths = new Set(open.map(({ path }) => path))
  t.strictSame([...paths].sort(), [
    // Their addresses, or the token of a session, say who uploads.
    '/api/lfs/complete/{grant}',
    '/api/lfs/object/{grant}',
    '/api/lfs/part/{grant}',
    '/api/validate-yaml',
    '/cas/{nonce}/shards',
    '/cas/{nonce}/v1/chunks/default/{hash}',
    '/cas/{nonce}/v1/shards',
    '/cas/{nonce}/v1/xorb-grants/default/{hash}',
    '/cas/{nonce}/v1/xorbs/default/{hash}',
    '/cas/{nonce}/v2/shards',
    '/health',
    '/livez',
    '/openapi.json',
    '/readyz',
  ])
  for (const { path, operation } of operations) {
    if (operation.security.length === 0) continue
    const isTheirs = ['presidio', 'hub'].includes(operation.tags?.[0] ?? '')
    const type = isTheirs ? 'json' : 'problem+json'
    for (const status of ['400', '401', '429', '500']) {
      const content = operation.responses[status]?.content
      t.ok(content?.[`application/${type}`], `${path} ${status}`)
    }
  }
})

t.test('bodies are described: a file as bytes, a form, JSON', async (t) => {
  const version = document.paths['/v1/checkpoints/{owner}/{name}/{ref}']
  t.strictSame(Object.keys(version?.['put']?.requestBody?.content ?? {}), [
    'application/octet-stream',
  ])
  t.strictSame(Object.keys(version?.['post']?.requestBody?.content ?? {}), [
    'multipart/form-data',
    'application/json',
  ])
})

t.test('detection says its limits, and what its answers have beside their bodies', (t) => {
  for (const path of ['/detect', '/detect-pii', '/analyze', '/detect/activations']) {
    const operation = document.paths[path]?.['post']
    t.match(operation?.description, /at most 8388608 bytes/, path)
    if (path !== '/detect/activations')
      t.match(operation?.description, /64 texts of at most 10000 code points/, path)
    const { responses = {} } = operation ?? {}
    t.match(responses['200'], {
      headers: { 'X-Checkpoint-Revision': {}, 'X-Checkpoint-Version': {} },
    })
    for (const status of ['429', '503'])
      t.match(responses[status], { headers: { 'Retry-After': { schema: { type: 'integer' } } } })
  }
  t.end()
})

/** Holds a live answer against what the document says of it. */
async function checkAnswer(t: Tap, operationId: string, response: Response): Promise<void> {
  const found = operations.find(({ operation }) => operation.operationId === operationId)
  const described = found?.operation.responses[String(response.status)]
  t.ok(described, `${operationId} may answer ${response.status}`)
  const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
  const bytes = await response.arrayBuffer()
  if (bytes.byteLength === 0) return
  const schema = described?.content?.[type]?.schema
  t.ok(schema, `${operationId} ${response.status} may be ${type}`)
  if (schema === undefined || !type.endsWith('json')) return
  const validate = ajv.compile(withoutUnknowns(schema) as Json)
  const body: unknown = JSON.parse(Buffer.from(bytes).toString())
  t.equal(validate(body), true, `${operationId}: ${ajv.errorsText(validate.errors)}`)
}
type Tap = Pick<typeof t, 'ok' | 'equal'>

/** The schema, with what it doesn't name forbidden: an answer may not say more than the document. */
function withoutUnknowns(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutUnknowns)
  if (typeof schema !== 'object' || schema === null) return schema
  const entries = Object.entries(schema).map(([key, value]) => [key, withoutUnknowns(value)])
  const closed = 'properties' in schema ? { additionalProperties: false } : {}
  return { ...closed, ...(Object.fromEntries(entries) as object) }
}

const POLICY = {
  expect_metadata: { model: ['bert', 'gpt'], version: '$version' },
  protected_tags: ['prod*'],
  max_size: null,
}

const GOOD = Buffer.from(CHECKPOINT)
const MAIL = 'Mail jane.doe@example.org'
const EVERYTHING = { redact: { email: '…' }, include_text: true, explain: true, language: 'en' }

const BATCH = '/acme/pushed.git/info/lfs/objects/batch'
const OBJECT = { oid: '0'.repeat(64), size: 100 }
const FILES_TO_COME = [
  { path: 'README.md', size: 1, sample: 'YQ==' },
  { path: 'training_args.bin', size: 1, sample: 'gA==' },
]
const COMMIT = [
  { key: 'header', value: { summary: 'one' } },
  { key: 'file', value: { path: 'README.md', content: 'YQ==', encoding: 'base64' } },
]
  .map((line) => `${JSON.stringify(line)}\n`)
  .join('')

t.test('live answers are what the document says', async (t) => {
  const version = '/v1/checkpoints/acme/documented/1.0'
  const path = `${version}/files/model.safetensors`
  const tag = '/v1/checkpoints/acme/documented/tags/stable'
  const hub = '/api/models/acme/documented'
  const pushed = '/api/models/acme/pushed'
  const file = smallFile(1, { format: 'pt', version: '2' })
  const send = (method: string, body: unknown) => ({
    token: ADMIN,
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const reader = await token('reader', 'other/*')
  const asReader = { token: reader }
  const withHeaders = (headers: Record<string, string>) => ({ token: ADMIN, headers })
  const form = new FormData()
  form.append('file', new Blob([file]), 'a.safetensors')
  const made = await request('/v1/tokens', send('POST', { name: 'a', role: 'reader' }))
  const { id } = (await made.clone().json()) as { id: string }

  const activations = (shape: readonly number[]) => ({
    token: ADMIN,
    method: 'POST',
    body: writeSafetensors([
      { name: 'activations', dtype: 'F32', shape, bytes: new Uint8Array(4 * 2 * 32) },
    ]),
  })
  const bytes = { token: ADMIN, method: 'POST' }
  const english = { text: `${MAIL} now`, language: 'en' }

  await checkAnswer(t, 'createToken', made)
  await checkAnswer(t, 'createToken', await request('/v1/tokens', send('POST', {})))
  await checkAnswer(t, 'publishFile', await put('acme/documented/1.0', file))
  await checkAnswer(t, 'publishFile', await put('acme/documented/1.0', file))
  await checkAnswer(t, 'publishFile', await put('acme/documented/1.0', smallFile(2)))
  await checkAnswer(t, 'publishFile', await put('acme/documented/2.0', smallFile(2)))
  await checkAnswer(t, 'publishFile', await put('acme/documented/1.1', Buffer.from('PK')))
  await checkAnswer(t, 'publishFile', await put('acme/documented/-', file))
  await checkAnswer(t, 'publishFile', await put('acme/documented/1.1', file, asReader))
  for (const [operation, url, init] of [
    ['publishFiles', '/v1/checkpoints/acme/form/1.0', { token: ADMIN, method: 'POST', body: form }],
    ['publishFiles', '/v1/checkpoints/acme/form/1.1', send('POST', {})],
    ['getVersion', version],
    ['getVersion', version, asReader],
    ['getVersion', version, { token: undefined }],
    ['getVersion', version, { token: 'sr_bad' }],
    ['getCheckpoint', '/v1/checkpoints/acme/documented'],
    ['setPolicy', '/v1/checkpoints/acme/documented/policy', send('PUT', POLICY)],
    ['setPolicy', '/v1/checkpoints/acme/documented/policy', send('PUT', { finite: 1 })],
    ['getPolicy', '/v1/checkpoints/acme/documented/policy'],
    ['getPolicy', '/v1/checkpoints/acme/documented/policy?own=1'],
    ['getPolicy', '/v1/checkpoints/acme/documented/policy', asReader],
    ['moveTag', tag, send('PUT', { ref: '1.0' })],
    ['moveTag', tag, send('PUT', { ref: '1.0' })],
    ['moveTag', tag, send('PUT', { ref: '1.0', expected: null })],
    ['moveTag', tag, send('PUT', { ref: '9.9' })],
    ['moveTag', tag, send('PUT', {})],
    ['getTag', tag],
    ['getTag', `${tag}9`],
    ['getTagHistory', `${tag}/history`],
    ['getTagHistory', `${tag}/history?limit=0`],
    ['deleteTag', tag, { token: ADMIN, method: 'DELETE' }],
    ['deleteTag', tag, { token: ADMIN, method: 'DELETE' }],
    ['withdrawVersion', '/v1/checkpoints/acme/form/1.0', send('DELETE', { reason: 'wrong' })],
    ['withdrawVersion', '/v1/checkpoints/acme/form/1.0', send('DELETE', { reason: 5 })],
    ['withdrawVersion', '/v1/checkpoints/acme/form/9.9', { token: ADMIN, method: 'DELETE' }],
    ['getVersion', '/v1/checkpoints/acme/form/1.0'],
    ['migrateCheckpoint', '/v1/migrate/acme/legacy/1', { ...bytes, body: GOOD }],
    ['migrateCheckpoint', '/v1/migrate/acme/legacy/1', { ...bytes, body: GOOD }],
    ['migrateCheckpoint', '/v1/migrate/acme/legacy/2', { ...bytes, body: 'cos\nsystem\n(tR.' }],
    ['scanFile', '/v1/scan', { ...bytes, body: 'cos\nsystem\n(tR.' }],
    ['scanFile', '/v1/scan', { ...bytes, token: reader }],
    ['setOwnerPolicy', '/v1/owners/acme/policy', send('PUT', {})],
    ['setOwnerPolicy', '/v1/owners/acme/policy', { ...send('PUT', {}), token: reader }],
    ['getOwnerPolicy', '/v1/owners/acme/policy'],
    ['getOwnerPolicy', '/v1/owners/acme/policy', asReader],
    ['getCheckpoint', '/v1/checkpoints/acme/documented'],
    ['listCheckpoints', '/v1/checkpoints?limit=1'],
    ['listCheckpoints', '/v1/checkpoints?limit=0'],
    ['listTensors', `${version}/tensors?limit=1`],
    ['listTensors', `${version}/tensors?path=none`],
    ['getTensor', `${version}/tensor?name=weight`],
    ['getTensor', `${version}/tensor?name=weight&slice=1:`, withHeaders({ range: 'bytes=0-1' })],
    ['getTensor', `${version}/tensor?name=weight&slice=9`],
    ['getTensor', `${version}/tensor?name=none`],
    ['getSelection', `${version}/select?name=weight`],
    ['getSelection', `${version}/select?prefix=w`, withHeaders({ 'if-none-match': '*' })],
    ['getSelection', `${version}/select`],
    ['getHashes', `${version}/hashes`],
    ['verifyVersion', `${version}/verify`, { token: ADMIN, method: 'POST' }],
    ['diffVersions', '/v1/checkpoints/acme/documented/diff?from=1.0&to=2.0'],
    ['diffVersions', '/v1/checkpoints/acme/documented/diff?from=1.0&to=2.0&values=1'],
    ['diffVersions', '/v1/checkpoints/acme/documented/diff?from=1.0'],
    ['diffVersions', '/v1/checkpoints/acme/documented/diff?from=1.0&to=9.9'],
    ['getFile', path],
    ['getFile', path, withHeaders({ range: 'bytes=0-1' })],
    ['getFile', path, withHeaders({ range: 'bytes=9999-' })],
    ['getFile', path, withHeaders({ 'if-none-match': '*' })],
    ['getFile', path, withHeaders({ 'if-match': '"x"' })],
    ['listTokens', '/v1/tokens'],
    ['listTokens', '/v1/tokens', asReader],
    ['whoami', '/v1/whoami', asReader],
    ['revokeToken', `/v1/tokens/${id}`, { token: ADMIN, method: 'DELETE' }],
    ['revokeToken', '/v1/tokens/none', { token: ADMIN, method: 'DELETE' }],
    ['readAudit', '/v1/audit'],
    ['readAudit', '/v1/audit?limit=x'],
    ['verifyAudit', '/v1/audit/verify'],
    ['detect', '/detect', send('POST', { text: MAIL })],
    ['detect', '/detect', send('POST', { texts: [MAIL, ''], ...EVERYTHING })],
    ['detect', '/detect', send('POST', { text: 5 })],
    ['detect', '/detect', send('POST', { texts: Array<string>(65).fill('') })],
    ['detect', '/detect', { ...send('POST', { text: MAIL }), token: reader }],
    ['detectPii', '/detect-pii', send('POST', { text: MAIL })],
    ['detectPii', '/detect-pii', send('POST', {})],
    ['detectActivations', '/detect/activations', activations([2, 32])],
    ['detectActivations', '/detect/activations', activations([4, 16])],
    ['detectActivations', '/detect/activations', { ...activations([2, 32]), body: 'PK' }],
    ['detectModels', '/detect/models'],
    ['detectModels', '/detect/models', asReader],
    ['analyze', '/analyze', send('POST', english)],
    ['analyze', '/analyze', send('POST', { ...english, return_decision_process: true })],
    ['analyze', '/analyze', send('POST', { ...english, text: [MAIL, MAIL] })],
    ['analyze', '/analyze', send('POST', { ...english, language: 'tlh' })],
    ['analyze', '/analyze', { ...send('POST', english), token: undefined }],
    ['supportedEntities', '/supportedentities?language=en'],
    ['supportedEntities', '/supportedentities?language=tlh'],
    ['recognizers', '/recognizers'],
    ['recognizers', '/recognizers', asReader],
    ['hubPage', '/acme/documented'],
    ['hubPage', '/acme/documented', { token: undefined }],
    ['hubModels', '/api/models?author=acme'],
    ['hubModels', '/api/models?limit=0'],
    ['hubModel', hub],
    ['hubModel', hub, asReader],
    ['hubModelRevision', `${hub}/revision/1.0`],
    ['hubModelRevision', `${hub}/revision/9.9`],
    ['hubTree', `${hub}/tree/main?expand=true`],
    ['hubTreeDirectory', `${hub}/tree/main/none`],
    ['hubPathsInfo', `${hub}/paths-info/main`, send('POST', { paths: ['model.safetensors'] })],
    ['hubPathsInfo', `${hub}/paths-info/main`, send('POST', { paths: 5 })],
    ['hubShardHeaders', `${hub}/safetensors-metadata/model.safetensors`],
    ['hubAuthCheck', `${hub}/auth-check`],
    ['hubAuthCheckWrite', `${hub}/auth-check/write`, asReader],
    ['hubWhoami', '/api/whoami-v2'],
    ['hubResolve', '/acme/documented/resolve/main/model.safetensors'],
    ['hubResolve', '/acme/documented/resolve/main/none'],
    ['hubResolve', '/acme/documented/resolve/main/model.safetensors', asReader],
    ['hubRaw', '/acme/documented/raw/1.0/model.safetensors', withHeaders({ range: 'bytes=0-1' })],
    ['hubValidateYaml', '/api/validate-yaml', send('POST', { content: '' })],
    ['hubCreateRepo', '/api/repos/create', send('POST', { name: 'acme/pushed' })],
    ['hubCreateRepo', '/api/repos/create', send('POST', { name: 'acme/pushed' })],
    ['hubCreateRepo', '/api/repos/create', send('POST', {})],
    ['hubPreupload', `${pushed}/preupload/main`, send('POST', { files: FILES_TO_COME })],
    ['hubPreupload', `${pushed}/preupload/main`, send('POST', {})],
    [
      'hubLfsBatch',
      BATCH,
      send('POST', { operation: 'upload', objects: [OBJECT, { oid: 'x', size: 1 }] }),
    ],
    ['hubLfsBatch', BATCH, send('POST', { operation: 'download', objects: [] })],
    ['hubLfsVerify', `${pushed}/lfs/verify`, send('POST', OBJECT)],
    ['hubLfsPut', '/api/lfs/object/none', { token: undefined, method: 'PUT', body: file }],
    ['hubLfsPart', '/api/lfs/part/none', { token: undefined, method: 'PUT', body: file }],
    ['hubLfsComplete', '/api/lfs/complete/none', { token: undefined, method: 'POST' }],
    ['hubXetWriteToken', `${pushed}/xet-write-token/main`],
    ['hubXetWriteToken', `${pushed}/xet-write-token/main`, asReader],
    ['xetUploadXorb', `/cas/none/v1/xorbs/default/${OBJECT.oid}`, bytes],
    ['xetFindChunk', `/cas/none/v1/chunks/default/${OBJECT.oid}`],
    ['xetUploadShard', '/cas/none/v1/shards', bytes],
    ['xetUploadShardOld', '/cas/none/shards', bytes],
    ['xetUploadShardStreamed', '/cas/none/v2/shards', bytes],
    ['hubCommit', `${pushed}/commit/main`, { ...bytes, body: COMMIT }],
    ['hubCommit', `${pushed}/commit/main`, { ...bytes, body: '{' }],
    ['hubCommit', `${pushed}/commit/main`, { ...bytes, body: COMMIT, token: reader }],
    ['hubCommits', `${pushed}/commits/main`],
    ['hubCreateBranch', `${pushed}/branch/dev`, { token: ADMIN, method: 'POST' }],
    ['hubCreateBranch', `${pushed}/branch/dev`, send('POST', { startingPoint: 'main' })],
    ['hubCreateTag', `${pushed}/tag/main`, send('POST', { tag: 'v1', message: 'one' })],
    ['hubCreateTag', `${pushed}/tag/none`, send('POST', { tag: 'v1' })],
    ['hubRefs', `${pushed}/refs`],
    ['hubRefs', `${pushed}/refs`, asReader],
    ['hubDeleteBranch', `${pushed}/branch/dev`, { token: ADMIN, method: 'DELETE' }],
    ['hubDeleteTag', `${pushed}/tag/v1`, { token: ADMIN, method: 'DELETE' }],
    ['hubDeleteTag', `${pushed}/tag/v1`, { token: ADMIN, method: 'DELETE' }],
    ['hubDeleteRepo', '/api/repos/delete', send('DELETE', { name: 'acme/pushed' })],
    ['hubDeleteRepo', '/api/repos/delete', send('DELETE', { name: 'acme/pushed' })],
    ['livez', '/livez'],
    ['readyz', '/readyz'],
    ['health', '/health'],
    ['metrics', '/metrics'],
  ] as const) {
    await checkAnswer(t, operation, await request(url, init))
  }
})
