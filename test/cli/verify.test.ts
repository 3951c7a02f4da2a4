import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ADMIN, startServer } from '../helpers/server.ts'
import { fileOf, run } from './fixture.ts'
import { listen } from './liar.ts'

const server = await startServer(t)
const env = { STRONGROOM_URL: server.url, STRONGROOM_TOKEN: ADMIN }
await server.put('acme/bert/1', fileOf(1000))
await server.put('acme/bert/2', fileOf(2000))
await server.put('beta/sae/1', fileOf(3000))

t.test('all versions within the scope are verified', async (t) => {
  const all = await run(['verify', '--all'], env)
  t.equal(all.code, 0, all.stderr)
  t.match(all.stdout, /^valid {2}acme\/bert@1 {2}model\.safetensors .*sha256/)
  t.match(all.stdout, /\n3 versions, 0 not valid\n$/)
  const reader = { ...env, STRONGROOM_TOKEN: await server.token('reader', 'beta/*') }
  const scoped = await run(['verify', '--all', '--json'], reader)
  t.match(JSON.parse(scoped.stdout), {
    items: [{ checkpoint: 'beta/sae', version: '1', valid: true, files: [{ valid: true }] }],
    valid: true,
  })
})

t.test(
  'one that is not valid is named, the others are still verified, and it ends with 1',
  async (t) => {
    const vault = join(server.folder, 'data/vault/blobs')
    const size = fileOf(1000).length
    const blob = readdirSync(vault, { recursive: true, encoding: 'utf8' })
      .map((name) => join(vault, name))
      .find((path) => statSync(path).isFile() && statSync(path).size === size)
    const stored = readFileSync(blob ?? '')
    stored[500] = (stored[500] ?? 0) ^ 1
    writeFileSync(blob ?? '', stored)
    await run(['withdraw', 'acme/bert@2', '--reason', 'old'], env)

    const all = await run(['verify', '--all'], env)
    t.equal(all.code, 1, all.stderr)
    t.match(all.stdout, /^NOT VALID {2}acme\/bert@1 .*chunk 0\n/)
    t.match(all.stdout, /valid {6}beta\/sae@1/)
    t.match(all.stdout, /\n2 versions, 1 not valid\n$/, 'what is withdrawn is not served either')
    const document = await run(['verify', '--all', '--json'], env)
    t.equal(document.code, 1)
    t.match(JSON.parse(document.stdout), { valid: false })
  },
)

t.test('either one version or all of them', async (t) => {
  t.equal((await run(['verify'], env)).code, 2)
  t.equal((await run(['verify', 'acme/bert@1', '--all'], env)).code, 2)
})

t.test(
  'it waits where the registry is busy, and passes over what was withdrawn meanwhile',
  async (t) => {
    const revision = 'a'.repeat(64)
    const [busy, gone] = ['TOO_MANY_REQUESTS', 'WITHDRAWN'].map((code) =>
      JSON.stringify({ detail: 'No.', code, retry_after: 0 }),
    )
    let asked = 0
    const url = await listen(t, (request, response) => {
      const path = request.url ?? ''
      const at = '2026-11-22T10:00:00Z'
      const version = { revision, state: 'available', created_at: at, created_by: 'x', size: 1 }
      const versions = ['1', '2'].map((name) => ({ ...version, version: name }))
      if (path.includes('/verify')) {
        asked += 1
        const problem = { 'content-type': 'application/problem+json' }
        if (asked === 1) response.writeHead(429, problem).end(busy)
        else if (asked === 2) response.writeHead(410, problem).end(gone)
        else response.end(JSON.stringify({ valid: true, files: [] }))
      } else if (path.endsWith('/acme/bert')) {
        const one = { checkpoint: 'acme/bert', created_at: at, versions, tags: {}, policy: {} }
        response.end(JSON.stringify(one))
      } else {
        const item = { checkpoint: 'acme/bert', created_at: at, versions: 2, latest: '2' }
        response.end(JSON.stringify({ items: [item], next: null }))
      }
    })
    const all = await run(['verify', '--all', '--json', '--url', url])
    t.equal(all.code, 0, all.stderr)
    t.match(JSON.parse(all.stdout), { items: [{ version: '2', valid: true }], valid: true })
    t.equal(asked, 3)
  },
)
