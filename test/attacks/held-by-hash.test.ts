import t from 'tap'
import { ADMIN, startServer, type TestServer } from '../helpers/server.ts'
import { deface, read, verdict, weights, whereInVault } from './hostile.ts'

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t)

const byHash = (
  server: TestServer,
  ref: string,
  sha256: string,
  token = ADMIN,
): Promise<Response> =>
  server.request(`/v1/checkpoints/${ref}`, {
    token,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ files: [{ path: 'model.safetensors', sha256 }] }),
  })

async function secret(server: TestServer): Promise<string> {
  const answer = await server.put('acme/secret/1', weights(64, 1))
  const { files } = (await answer.json()) as { files: { sha256: string }[] }
  return files[0]?.sha256 ?? ''
}

t.test('whoever only knows a hash gets nothing for it', async (t) => {
  const sha256 = await secret(server)
  const absent = await verdict(await byHash(server, 'acme/x/1', 'ab'.repeat(32)))
  t.match(absent, { status: 404, code: 'NOT_FOUND', what: 'file' })
  const outsider = await server.token('writer', 'other/*')
  const known = await verdict(await byHash(server, 'other/x/1', sha256, outsider))
  t.match(known, { status: 404, code: 'NOT_FOUND', what: 'file' }, 'as if it were not there')
  for (const role of ['reader', 'auditor', 'detector']) {
    const token = await server.token(role)
    t.match(await verdict(await byHash(server, 'acme/x/1', sha256, token)), { status: 403 }, role)
  }
  const insider = await server.token('writer', 'acme/*')
  t.match(
    await verdict(await byHash(server, 'other/x/1', sha256, insider)),
    { status: 403 },
    'into another scope',
  )
  t.equal((await byHash(server, 'acme/x/1', sha256, insider)).status, 201, 'who may read it may')
})

t.test('a revoked or expired token publishes nothing', async (t) => {
  const sha256 = await secret(server)
  const token = await server.token('writer')
  const whoami = (await (await server.request('/v1/whoami', { token })).json()) as { id: string }
  t.equal(
    (await server.request(`/v1/tokens/${whoami.id}`, { token: ADMIN, method: 'DELETE' })).status,
    204,
  )
  t.match(await verdict(await byHash(server, 'acme/x2/1', sha256, token)), { status: 401 })
  t.equal((await server.request('/v1/checkpoints/acme/x2')).status, 404)
})

t.test('a token that is revoked while its upload goes on publishes nothing', async (t) => {
  const token = await server.token('writer')
  const whoami = (await (await server.request('/v1/whoami', { token })).json()) as { id: string }
  const bytes = weights(4096)
  async function* body() {
    yield bytes.subarray(0, 2000)
    await server.request(`/v1/tokens/${whoami.id}`, { token: ADMIN, method: 'DELETE' })
    yield bytes.subarray(2000)
  }
  const answer = await server.request('/v1/checkpoints/acme/x3/1', {
    token,
    method: 'PUT',
    body: body(),
    duplex: 'half',
  })
  t.match(await verdict(answer), { status: 401 })
  t.equal((await server.request('/v1/checkpoints/acme/x3')).status, 404)
})

t.test('an index can’t pass for weights, nor weights for an index', async (t) => {
  const sha256 = await secret(server)
  const answer = await server.request('/v1/checkpoints/acme/x5/1', {
    token: ADMIN,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ files: [{ path: 'a.safetensors.index.json', sha256 }] }),
  })
  t.match(await verdict(answer), { status: 400 })
})

t.test('damaged bytes get no new names', async (t) => {
  const sha256 = await secret(server)
  deface(await whereInVault(server, 'acme/secret/1'), (bytes) => bytes.fill(0))
  t.equal((await read(server, 'acme/secret/1')).code, 'INTEGRITY_FAILURE')
  t.match(await verdict(await byHash(server, 'acme/x4/1', sha256)), { status: 404 })
})
