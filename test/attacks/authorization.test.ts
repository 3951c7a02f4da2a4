import t from 'tap'
import { ADMIN, startServer, type TestServer } from '../helpers/server.ts'
import { call, fileUrl, shout, staged, verdict, weights } from './hostile.ts'

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t, { STRONGROOM_AUTH_FAILURES_PER_MINUTE: '1000' })

const with_ = (server: TestServer, authorization: string, path = '/v1/whoami'): Promise<Response> =>
  server.request(path, { token: undefined, headers: { authorization } })

t.test('a token counts in one place and one form only', async (t) => {
  for (const query of ['token', 'access_token', 'api_key', 'authorization', 'Authorization'])
    t.equal((await server.request(`/v1/whoami?${query}=${ADMIN}`, {})).status, 401, `?${query}=`)
  const basic = Buffer.from(`admin:${ADMIN}`).toString('base64')
  for (const [what, authorization] of [
    ['basic', `Basic ${basic}`],
    ['bare', ADMIN],
    ['another scheme', `Token ${ADMIN}`],
    ['a prefix', `Bearer ${ADMIN.slice(0, -1)}`],
    ['more of it', `Bearer ${ADMIN}x`],
    ['in upper case', `Bearer ${ADMIN.toUpperCase()}`],
    ['two in one', `Bearer ${ADMIN}, Bearer ${ADMIN}`],
    ['a tab', `Bearer\t${ADMIN}`],
    ['quoted', `Bearer "${ADMIN}"`],
    ['10 KB', `Bearer sr_${'a'.repeat(10_000)}`],
    ['10 KB of spaces', `Bearer ${' '.repeat(10_000)}`],
    ['empty', 'Bearer '],
    ['a hash', 'Bearer 0000000000000000000000000000000000000000000000000000000000000000'],
    ['the prefix twice', `Bearer hf_hf_${ADMIN}`],
    ['SQL', "Bearer ' OR 1=1 --"],
    ['a glob', 'Bearer *'],
  ] as const)
    t.match(
      await verdict(await with_(server, authorization)),
      { status: 401, code: 'UNAUTHENTICATED' },
      what,
    )
  const both = [`Authorization: Bearer ${ADMIN}`, 'Authorization: Bearer sr_bad']
  for (const pair of [both, [...both].reverse()]) {
    const answer = await shout(
      server,
      ['GET /v1/whoami HTTP/1.1', 'Host: x', ...pair, 'Connection: close', '', ''].join('\r\n'),
    )
    t.match(answer, /^HTTP\/1.1 400 /, 'two headers')
  }
  t.notMatch(JSON.stringify(server.log()), ADMIN, 'and no log line holds it')
})

t.test('no role reaches further than it says', async (t) => {
  t.equal((await server.put('acme/a/1', weights(64))).status, 201)
  const weightsOf = [
    fileUrl('acme/a/1'),
    `${fileUrl('acme/a/1')}?x=1`,
    fileUrl('ACME/a/1'),
    fileUrl('acme/a/latest'),
    '/acme/a/resolve/main/model.safetensors',
    '/ACME/a/raw/1/model.safetensors',
  ]
  const descriptions = [
    '/v1/checkpoints',
    '/v1/checkpoints/acme/a',
    '/v1/checkpoints/acme/a/1',
    '/v1/checkpoints/acme/a/1/tensors',
    '/v1/checkpoints/acme/a/1/hashes',
    '/acme/a',
    '/api/models',
    '/api/models/acme/a',
    '/api/models/acme/a/tree/main',
  ]
  const offices = ['/v1/tokens', '/v1/audit', '/v1/audit/verify']
  const reach: readonly [string, readonly string[], readonly string[]][] = [
    ['auditor', weightsOf, [...descriptions, ...offices.slice(1)]],
    ['detector', [...weightsOf, ...descriptions, ...offices, '/metrics'], []],
    ['reader', offices, [...weightsOf, ...descriptions]],
    ['writer', offices, [...weightsOf, ...descriptions]],
  ]
  for (const [role, closed, open] of reach) {
    const token = await server.token(role)
    for (const path of closed) {
      const answer = await server.request(path, { token })
      t.match(await verdict(answer), { status: 403, code: 'FORBIDDEN' }, `${role} GET ${path}`)
      const head = await server.request(path, { token, method: 'HEAD' })
      t.ok(head.status === 403 || head.status === 405, `${role} HEAD ${path}`)
    }
    for (const path of open)
      t.equal((await server.request(path, { token })).status, 200, `${role} GET ${path}`)
    const verify = await server.request('/v1/checkpoints/acme/a/1/verify', {
      token,
      method: 'POST',
    })
    t.equal(verify.status, ['reader', 'writer'].includes(role) ? 200 : 403, `${role} verifies`)
    const put = await server.put('acme/b/1', weights(64), { token })
    t.equal(put.status, role === 'writer' ? 201 : 403, `${role} publishes`)
    for (const method of ['PUT', 'POST', 'DELETE', 'PATCH', 'TRACE'])
      t.ok(
        (await raw(server, method, '/v1/audit', token)) >= 400,
        `${role} ${method}s the audit log`,
      )
  }
})

async function raw(
  server: TestServer,
  method: string,
  path: string,
  token: string,
): Promise<number> {
  const lines = [
    `${method} ${path} HTTP/1.1`,
    'Host: x',
    `Authorization: Bearer ${token}`,
    'Content-Length: 0',
    'Connection: close',
    '',
    '',
  ]
  return Number((await shout(server, lines.join('\r\n'))).slice(9, 12))
}

t.test('an admin of a scope makes nobody an admin of more', async (t) => {
  const boss = await server.token('admin', 'acme/*')
  const make = async (role: string, scope: string): Promise<number> => {
    const body = JSON.stringify({ name: 'x', role, scope })
    const headers = { 'content-type': 'application/json' }
    return (await server.request('/v1/tokens', { token: boss, method: 'POST', headers, body }))
      .status
  }
  for (const scope of ['*', 'other/*', 'other/bert', 'a/*', 'acm/*'])
    for (const role of ['admin', 'writer', 'reader', 'detector'])
      t.equal(await make(role, scope), 403, `${role} ${scope}`)
  t.equal(await make('auditor', '*'), 403, 'nor an auditor')
  for (const scope of [
    'acme*',
    'acme',
    '*/*',
    'acme/*/x',
    '**',
    '',
    'acme/../*',
    'acme/[a-z]*',
    '*/bert',
  ])
    t.equal(await make('reader', scope), 400, `“${scope}” is no scope`)
  t.equal(await make('admin', 'ACME/bert'), 201, 'less is fine')
  t.equal(await make('root', 'acme/*'), 400)
  const { items } = (await (await server.request('/v1/tokens', { token: boss })).json()) as {
    items: { id: string; scope: string }[]
  }
  t.ok(
    items.every(({ scope }) => scope.startsWith('acme/')),
    'it sees no other tokens',
  )
  const all = (await (await server.request('/v1/tokens')).json()) as {
    items: { id: string; scope: string }[]
  }
  const root = all.items.find(({ scope }) => scope === '*')
  t.equal(
    (await server.request(`/v1/tokens/${root?.id ?? ''}`, { token: boss, method: 'DELETE' }))
      .status,
    404,
    'and revokes none',
  )
  t.equal(
    (await server.request('/v1/audit', { token: boss })).status,
    403,
    'nor reads what others do',
  )
})

t.test('whoever may not publish is told so before a byte of the body is asked for', async (t) => {
  const reader = await server.token('reader')
  const writer = await server.token('writer', 'other/*')
  for (const [who, token, status] of [
    ['nobody', undefined, 401],
    ['a bad token', 'sr_bad', 401],
    ['a reader', reader, 403],
    ['a writer elsewhere', writer, 403],
    ['a writer with a bad name', ADMIN, 400],
  ] as const) {
    const name = status === 400 ? 'acme/..x' : 'acme/x'
    const caller = call(server)
    const lines = [
      `PUT /v1/checkpoints/${name}/1 HTTP/1.1`,
      'Host: x',
      'Expect: 100-continue',
      'Content-Length: 1000000',
    ]
    if (token !== undefined) lines.push(`Authorization: Bearer ${token}`)
    await caller.send([...lines, '', ''].join('\r\n'))
    t.match(await caller.until('\r\n\r\n'), new RegExp(`^HTTP/1.1 ${status} `), who)
    t.same(staged(server), [], `${who}: nothing was staged`)
    caller.hangUp()
  }
})
