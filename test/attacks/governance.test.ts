import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { call, dice, staged, verdict, weights } from './hostile.ts'

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t)
const { put, request } = server

const URL = '/v1/checkpoints/acme'

const send = (method: string, path: string, body: unknown, token = ADMIN): Promise<Response> =>
  request(path, {
    token,
    method,
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })

const jsonOf = async <T>(response: Promise<Response>): Promise<T> =>
  (await (await response).json()) as T

/** Publishes versions of `acme/NAME`; their revisions. */
async function publish(name: string, ...versions: readonly string[]): Promise<readonly string[]> {
  const revisions: string[] = []
  for (const [i, version] of versions.entries()) {
    const answer = put(`acme/${name}/${version}`, weights(64, i))
    revisions.push((await jsonOf<{ revision: string }>(answer)).revision)
  }
  return revisions
}

interface Event {
  readonly action: string
  readonly revision: string | null
  readonly previous: string | null
}
const historyOf = async (name: string, tag: string): Promise<readonly Event[]> =>
  (await jsonOf<{ items: Event[] }>(request(`${URL}/${name}/tags/${tag}/history?limit=1000`))).items

async function revoke(token: string): Promise<void> {
  const { id } = await jsonOf<{ id: string }>(request('/v1/whoami', { token }))
  await request(`/v1/tokens/${id}`, { token: ADMIN, method: 'DELETE' })
}

t.test('of many who move a tag from the same place exactly one does', async (t) => {
  const versions = Array.from({ length: 12 }, (_, i) => `1.${i}`)
  const revisions = await publish('raced', ...versions)
  const tag = `${URL}/raced/tags/production`
  let expected: string | null = null
  for (let round = 0; round < 5; round++) {
    // A move to where the tag is already loses to none and wins over none.
    const away = versions.filter((_, i) => revisions[i] !== expected)
    const moves = await Promise.all(
      away.map((ref) => send('PUT', tag, { ref, expected }).then(verdict)),
    )
    const winners = moves.filter(({ status }) => status < 300)
    t.equal(winners.length, 1)
    const { revision } = await jsonOf<{ revision: string }>(request(tag))
    for (const move of moves)
      if (move.status >= 300)
        t.match(move, { status: 412, code: 'TAG_MOVED', ...{ current: revision } })
    expected = revision
  }
  const history = await historyOf('raced', 'production')
  t.equal(history.length, 5, 'who lost is no part of it')
})

t.test('a policy that is set while an upload runs holds for it', async (t) => {
  const upload = async (version: string, meanwhile: () => Promise<unknown>): Promise<number> => {
    const bytes = weights(4096)
    async function* body() {
      yield bytes.subarray(0, 2000)
      await meanwhile()
      yield bytes.subarray(2000)
    }
    const init = { token: ADMIN, method: 'PUT', body: body(), duplex: 'half' } as const
    return (await request(`${URL}/governed/${version}`, init)).status
  }
  const policy = `${URL}/governed/policy`
  const tighten = () => send('PUT', policy, { require_metadata: ['model'] })
  t.equal(await upload('1', tighten), 422)
  t.equal((await request(`${URL}/governed`)).status, 404)
  t.same(staged(server), [])
  t.equal(await upload('1', () => send('PUT', policy, {})), 201, 'and one that is lifted does not')
  t.equal(await upload('2', () => send('PUT', '/v1/owners/acme/policy', { max_size: 9 })), 413)
  await send('PUT', '/v1/owners/acme/policy', {})
})

t.test('a token that is revoked between head and body changes nothing', async (t) => {
  const [one] = await publish('revoked', '1.0', '2.0')
  await send('PUT', `${URL}/revoked/tags/stable`, { ref: '1.0' })
  for (const [line, body, role] of [
    [`PUT ${URL}/revoked/tags/stable`, { ref: '2.0' }, 'writer'],
    [`PUT ${URL}/revoked/policy`, { finite: true }, 'admin'],
    ['PUT /v1/owners/acme/policy', { finite: true }, 'admin'],
    [`DELETE ${URL}/revoked/1.0`, { reason: 'spite' }, 'admin'],
  ] as const) {
    const token = await server.token(role)
    const text = JSON.stringify(body)
    const caller = call(server)
    await caller.send(
      `${line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nExpect: 100-continue\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n`,
    )
    t.match(await caller.until('\r\n\r\n'), /^HTTP\/1.1 100 /, 'it was known when it asked')
    await revoke(token)
    await caller.send(text)
    t.match(await caller.until('UNAUTHENTICATED'), /HTTP\/1.1 401 /, line)
    caller.hangUp()
  }
  t.match(await jsonOf(request(`${URL}/revoked/tags/stable`)), { revision: one })
  t.same(await jsonOf(request(`${URL}/revoked/policy?own=1`)), {})
  t.match(await jsonOf(request(`${URL}/revoked/1.0`)), { state: 'available' })
})

t.test('a protected tag is moved by no writer, however it is spelled', async (t) => {
  const [one] = await publish('guarded', '1.0', '2.0')
  await send('PUT', `${URL}/guarded/policy`, { protected_tags: ['production'] })
  await send('PUT', `${URL}/guarded/tags/production`, { ref: '1.0' })
  const token = await server.token('writer')
  const spelled = [
    `${URL}/guarded/tags/production`,
    '/v1/checkpoints/ACME/Guarded/tags/production',
    `${URL}/guarded/tags/%70roduction`,
    `${URL}/guarded/%74ags/production`,
    `${URL}/x/../guarded/tags/production`,
  ]
  for (const path of spelled) {
    const move = await verdict(await send('PUT', path, { ref: '2.0' }, token))
    t.match(move, { status: 403, code: 'TAG_PROTECTED' }, path)
    const remove = await request(path, { token, method: 'DELETE' })
    t.match(await verdict(remove), { status: 403, code: 'TAG_PROTECTED' }, path)
  }
  for (const path of [
    `${URL}/guarded/tags/production/`,
    `${URL}/guarded/tags/production%00`,
    `${URL}/guarded/tags/production%20`,
    `${URL}/guarded/tags/%2570roduction`,
    `${URL}/guarded/tags/prod%C3%BCction`,
    `${URL}/guarded//tags/production`,
  ]) {
    const { status } = await send('PUT', path, { ref: '2.0' }, token)
    t.match(String(status), /^40[0-9]$/, path)
  }
  const version = await put('acme/guarded/production', weights(64, 9), { token })
  t.match(await verdict(version), { status: 409 }, 'nor taken by a version')
  for (const [method, path] of [
    ['PUT', `${URL}/guarded/policy`],
    ['PUT', '/v1/owners/acme/policy'],
    ['DELETE', `${URL}/guarded/1.0`],
  ] as const)
    t.equal((await send(method, path, {}, token)).status, 403, path)
  const other = await send('PUT', `${URL}/guarded/tags/Production`, { ref: '2.0' }, token)
  t.equal(other.status, 201, 'which is another tag')
  t.match(await jsonOf(request(`${URL}/guarded/tags/production`)), { revision: one })
})

t.test('a policy that is too much, or no policy, is refused', async (t) => {
  const many = Array.from({ length: 100_000 }, () => '*')
  const nested = `{"expect_metadata":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`
  const stars = { protected_tags: Array.from({ length: 100 }, () => '*a'.repeat(64)) }
  for (const body of [
    { protected_tags: many },
    { require_metadata: many },
    { expect_metadata: { a: many } },
    { require_metadata: ['x'.repeat(500_000)] },
    { same_tensors_as: 'x'.repeat(500_000) },
    nested,
    '{"__proto__":{"finite":true}}',
    '{"expect_metadata":{"__proto__":"x"}}',
    '{"constructor":{"prototype":{"finite":true}}}',
    '{"finite":true,"finite":"no"}',
    '[]',
    '"*"',
    'null',
    '{',
    '',
  ]) {
    const answer = await send('PUT', `${URL}/refused/policy`, body)
    t.match(await verdict(answer), { status: /^4(00|13)$/ }, JSON.stringify(body).slice(0, 40))
  }
  const large = await send('PUT', `${URL}/refused/policy`, `{"a":"${'x'.repeat(2 ** 20)}"}`)
  t.equal(large.status, 413)
  t.same(await jsonOf(request(`${URL}/refused/policy?own=1`)), {})
  await publish('refused', '1.0')
  await send('PUT', `${URL}/refused/policy`, stars)
  const token = await server.token('writer')
  const move = await send('PUT', `${URL}/refused/tags/${'a'.repeat(128)}`, { ref: '1.0' }, token)
  t.equal(move.status, 403, 'stars are matched without trying all ways')
})

t.test('latest never names what was withdrawn, whoever publishes meanwhile', async (t) => {
  const roll = dice(4)
  const versions = Array.from({ length: 30 }, (_, i) => `1.${i}`)
  let isDone = false
  const seen = new Set<number>()
  async function watch(): Promise<void> {
    while (!isDone) seen.add((await request(`${URL}/latest/latest`)).status)
  }
  async function churn(): Promise<void> {
    for (const version of versions) {
      const publishing = put(`acme/latest/${version}`, weights(64, 1))
      const older = versions[Math.floor(roll() * versions.length)] ?? ''
      await request(`${URL}/latest/${older}`, { token: ADMIN, method: 'DELETE' })
      await publishing
      await request(`${URL}/latest/${version}`, { token: ADMIN, method: 'DELETE' })
    }
    isDone = true
  }
  await Promise.all([watch(), churn()])
  t.notOk(seen.has(410), [...seen].join(' '))
  const history = (await historyOf('latest', 'latest')).toReversed()
  let named: string | null = null
  for (const { revision, previous } of history) {
    t.equal(previous, named, 'each move begins where the one before ended')
    named = revision
  }
  t.equal(named, null)
})

t.test('after all of it the audit log holds', async (t) => {
  t.match(await jsonOf(request('/v1/audit/verify')), { valid: true })
})
