import { createHash } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ADMIN, startServer, type TestServer } from '../helpers/server.ts'
import { blobsOf, head, shout, staged, verdict, weights } from './hostile.ts'

// One server for all: starting one costs more than most of these attacks.
const server = await startServer(t)

/** Ways to say "the folder above", as they may stand in a URL. */
const CLIMBS = [
  '..',
  '../..',
  '%2e%2e',
  '%2E%2E%2F%2E%2E',
  '..%2f..%2fetc%2fpasswd',
  '..%5c..%5c',
  '..\\..',
  '%252e%252e',
  '%252e%252e%252f',
  '.%00.',
  '%00',
  'a%00.safetensors',
  '%c0%ae%c0%ae',
  '%ff',
  '%',
  '..;',
  '/etc/passwd',
  '%2fetc%2fpasswd',
  '~',
  '.',
  'a/../../b',
  'a%2f..%2f..%2fb',
  'C:%5cwindows',
  '%0d%0aX:y',
  '%e2%80%ae',
  '%ed%a0%80',
]
const file = weights(64)
const places: readonly [string, (climb: string) => string][] = [
  ['owner', (climb) => `/v1/checkpoints/${climb}/bert/1`],
  ['name', (climb) => `/v1/checkpoints/acme/${climb}/1`],
  ['version', (climb) => `/v1/checkpoints/acme/bert/${climb}`],
]

async function raw(
  server: TestServer,
  method: string,
  target: string,
  body: Uint8Array = Buffer.alloc(0),
): Promise<number> {
  const length = `Content-Length: ${body.length}`
  const answer = await shout(server, head(`${method} ${target}`, length, 'Connection: close'), body)
  t.notMatch(
    answer,
    /root:|\/home\/|node_modules|data\/vault|data\/ledger/,
    'no path of the server is in the answer',
  )
  return Number(answer.slice('HTTP/1.1 '.length).slice(0, 3))
}

t.test('no name in a URL climbs', async (t) => {
  t.equal((await server.put('acme/bert/1', file)).status, 201)
  const before = blobsOf(server)
  for (const climb of CLIMBS) {
    for (const [place, target] of places) {
      const published = await raw(server, 'PUT', target(climb), file)
      t.ok(published >= 400 && published < 500, `PUT ${place} ${climb}: ${published}`)
      const got = await raw(server, 'GET', target(climb))
      // `acme/bert/.` is `acme/bert/` to nobody: targets are taken as they are sent.
      t.ok(got >= 400 && got < 500, `GET ${place} ${climb}: ${got}`)
    }
    const byPath = await raw(server, 'GET', `/v1/checkpoints/acme/bert/1/files/${climb}`)
    t.ok(byPath >= 400 && byPath < 500, `GET path ${climb}: ${byPath}`)
    const byRef = await raw(
      server,
      'GET',
      `/v1/checkpoints/acme/bert/${climb}/files/model.safetensors`,
    )
    t.ok(byRef >= 400 && byRef < 500, `GET ref ${climb}: ${byRef}`)
    const docs = await raw(server, 'GET', `/docs/static/${climb}`)
    t.ok(docs !== 200 || !CLIMBS.slice(0, 8).includes(climb), `GET docs ${climb}: ${docs}`)
  }
  t.same(blobsOf(server), before, 'nothing new is in the vault')
  t.same(readdirSync(server.folder), ['data'], 'and nothing beside it')
})

const PATHS = [
  '../evil.safetensors',
  '/etc/evil',
  'a/../../evil',
  'a//b',
  './a',
  'a/.',
  '..',
  '.',
  'a\\b',
  '..\\evil',
  'a\0b',
  'a\nb',
  'a\x1b[31m',
  'x'.repeat(513),
  'é'.repeat(257),
  'a/',
  '\u0085',
  '\ud800',
]

t.test('no path inside a version climbs', async (t) => {
  const sha256 = createHash('sha256').update(file).digest('hex')
  t.equal((await server.put('acme/held/1', file)).status, 201)
  const publish = async (body: FormData | object, version = 'x'): Promise<Response> =>
    server.request(`/v1/checkpoints/acme/deep/${version}`, {
      token: ADMIN,
      method: 'POST',
      ...(body instanceof FormData
        ? { body }
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
  for (const path of PATHS) {
    const shown = JSON.stringify(path.slice(0, 20))
    const refused = async (what: string, answer: Response): Promise<void> => {
      t.match(
        await verdict(answer),
        { status: 400, code: /INVALID_(NAME|REQUEST)/ },
        `${what} ${shown}`,
      )
    }
    if (path.isWellFormed()) {
      await refused(
        'query',
        await server.put('acme/deep/x', file, { query: `?path=${encodeURIComponent(path)}` }),
      )
    }
    const digests = new FormData()
    digests.append('sha256', JSON.stringify({ [path]: sha256 }))
    digests.append('file', new Blob([file]), 'model.safetensors')
    await refused('sha256 field', await publish(digests))
    await refused('JSON', await publish({ files: [{ path, sha256 }] }))
    if (!path.isWellFormed()) continue
    // FormData escapes what a hostile client wouldn't.
    const part = `--b\r\nContent-Disposition: form-data; name="f"; filename="${path}"\r\n\r\n`
    const body = Buffer.concat([Buffer.from(part), file, Buffer.from('\r\n--b--\r\n')])
    await refused(
      'filename',
      await server.request('/v1/checkpoints/acme/deep/x', {
        token: ADMIN,
        method: 'POST',
        body,
        headers: { 'content-type': 'multipart/form-data; boundary=b' },
      }),
    )
  }
  t.equal((await server.request('/v1/checkpoints/acme/deep')).status, 404, 'no version came of it')
  t.same(staged(server), [])
})

t.test("an index's shards stay inside the version", async (t) => {
  for (const shard of ['../model.safetensors', '/etc/passwd', 'other.safetensors', '__proto__']) {
    const form = new FormData()
    const weight_map = Object.fromEntries(
      ['embed', 'layer.0', 'layer.1', 'head'].map((name) => [name, shard]),
    )
    form.append('f', new Blob([file]), 'model.safetensors')
    form.append(
      'f',
      new Blob([JSON.stringify({ metadata: {}, weight_map })]),
      'model.safetensors.index.json',
    )
    const answer = await server.request('/v1/checkpoints/acme/deep/x', {
      token: ADMIN,
      method: 'POST',
      body: form,
    })
    t.match(await verdict(answer), { status: 400, code: 'INVALID_REQUEST' }, shard)
  }
  t.same(staged(server), [])
  t.equal((await server.request('/v1/checkpoints/acme/deep')).status, 404)
  t.notOk(existsSync(join(server.folder, 'evil.safetensors')))
})
