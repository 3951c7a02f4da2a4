import { readdirSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { fileOf, run } from './fixture.ts'
import { changed, describe, hashesOf, listen, sha256 } from './liar.ts'

// A server that lies, each time in one way and otherwise consistently: whatever it says, a pull writes nothing
// outside its folder and nothing under a final name.

const honest = fileOf(3000)
const CHUNK = 1024

interface Lies {
  readonly paths?: readonly string[]
  readonly description?: object
  readonly hashes?: object
  readonly bytes?: Uint8Array
}

const describing = (paths: readonly string[]) =>
  describe(paths.map((path) => ({ path, bytes: honest })))

function liar({
  paths = ['model.safetensors'],
  description,
  hashes,
  bytes = honest,
}: Lies): RequestListener {
  return (request, response) => {
    const url = request.url ?? ''
    const said = url.includes('/hashes')
      ? { ...hashesOf(honest, CHUNK), ...hashes }
      : { ...describing(paths), ...description }
    response.end(url.includes('/files/') ? bytes : JSON.stringify(said))
  }
}

const LIES: readonly (readonly [what: string, lies: Lies])[] = [
  ['a path that climbs', { paths: ['../escaped.safetensors'] }],
  ['a path that climbs from further down', { paths: ['a/../../escaped.safetensors'] }],
  ['an absolute path', { paths: ['/tmp/escaped.safetensors'] }],
  ['a path with backslashes', { paths: ['..\\escaped.safetensors'] }],
  ['an empty path', { paths: [''] }],
  ['a path with a null character', { paths: ['model.safetensors\u0000'] }],
  ['a path twice', { paths: ['model.safetensors', 'model.safetensors'] }],
  [
    'a size that the revision does not cover',
    { description: { files: [{ ...describing([]), path: 'm', size: 1 }] } },
  ],
  ['a description under another revision', { description: { revision: '0'.repeat(64) } }],
  ['bytes that are not the file', { bytes: changed(honest, 2000) }],
  [
    'bytes and hashes that agree, but not with the digest',
    {
      bytes: changed(honest, 2000),
      hashes: { ...hashesOf(changed(honest, 2000), CHUNK), sha256: sha256(honest) },
    },
  ],
  ['more bytes than the file has', { bytes: Buffer.concat([honest, Buffer.from('more')]) }],
  ['too few hashes', { hashes: { leaves: [] } }],
  ['a chunk beyond all memory', { hashes: { chunk_size: 2 ** 40, leaves: [sha256(honest)] } }],
  ['chunks of nothing', { hashes: { chunk_size: 0 } }],
  ['hashes of another file', { hashes: { sha256: '0'.repeat(64) } }],
]

for (const [what, lies] of LIES) {
  t.test(`a server that gives ${what} is not believed`, async (t) => {
    const folder = t.testdir({ out: {} })
    const url = await listen(t, liar(lies))
    const pulled = await run(
      ['pull', 'acme/bert@1', '-o', 'out', '--url', url, '--json'],
      {},
      folder,
    )
    t.equal(pulled.code, 1, pulled.stderr)
    t.match(JSON.parse(pulled.stderr), { code: 'NOT_AS_CLAIMED' })
    t.strictSame(readdirSync(folder), ['out'], 'nothing outside the folder')
    t.notOk(
      readdirSync(join(folder, 'out')).some((name) => !name.endsWith('.strongroom-part')),
      'no file',
    )
  })
}

t.test('who asks for a revision gets that one or an error', async (t) => {
  const folder = t.testdir()
  const url = await listen(t, liar({}))
  const { revision } = describing(['model.safetensors'])
  const other = revision.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))
  t.match(await run(['pull', `acme/bert@${other}`, '-o', folder, '--url', url]), {
    code: 1,
    stderr: /another version/,
  })
  t.match(await run(['pull', 'acme/other@1', '-o', folder, '--url', url]), {
    code: 1,
    stderr: /another version/,
  })
  t.strictSame(readdirSync(folder), [])
  t.equal((await run(['pull', `acme/bert@${revision}`, '-o', folder, '--url', url])).code, 0)
})

t.test('a server that goes on from another byte than asked is not believed', async (t) => {
  const folder = t.testdir()
  let asked = 0
  const url = await listen(t, (request, response) => {
    if (request.url?.includes('/files/') !== true) {
      liar({})(request, response)
      return
    }
    asked += 1
    if (asked === 1) {
      response.writeHead(200, { 'content-length': honest.length })
      response.write(honest.subarray(0, 2048), () => response.destroy())
    } else response.end(honest)
  })
  t.match(await run(['pull', 'acme/bert@1', '-o', folder, '--url', url]), {
    code: 1,
    stderr: /another range/,
  })
})

t.test('what a server says moves no cursor', async (t) => {
  const url = await listen(t, liar({}))
  const shown = await run(['show', 'acme/bert@1', '--url', url])
  t.equal(shown.code, 0, shown.stderr)
  // eslint-disable-next-line no-control-regex -- the very thing
  t.notMatch(shown.stdout + shown.stderr, /[\u001b\u0007]/)
  t.match(shown.stdout, /mallory\\u001b/)
})

t.test('a redirect is not followed: the token goes nowhere else', async (t) => {
  let reached = false
  const elsewhere = await listen(t, (_request, response) => {
    reached = true
    response.end('{}')
  })
  const url = await listen(t, (request, response) => {
    response.writeHead(307, { location: `${elsewhere}${request.url ?? ''}` }).end()
  })
  t.match(await run(['ls', '--url', url, '--token', 'sr_secret']), { code: 1, stderr: /HTTP_307/ })
  t.notOk(reached)
})

t.test('a refusal is shown even where the server closes in the middle of the upload', async (t) => {
  const folder = t.testdir({ 'model.safetensors': Buffer.from(fileOf(32 * 1024 * 1024)) })
  const problem = JSON.stringify({
    status: 422,
    detail: 'No.',
    code: 'INVALID_SAFETENSORS',
    reason: 'gap',
  })
  for (const isAbrupt of [false, true]) {
    const url = await listen(t, (request, response) => {
      request.once('data', () => {
        request.pause()
        response.writeHead(422, {
          'content-type': 'application/problem+json',
          'content-length': problem.length,
          ...(isAbrupt ? { connection: 'close' } : {}),
        })
        if (isAbrupt)
          response.end(problem, () => {
            request.socket.destroySoon()
          })
        else {
          // Once the answer has ended, Node closes under a client that asked it to.
          response.write(problem)
          request.resume().once('end', () => response.end())
        }
      })
    })
    const pushed = await run(['push', 'model.safetensors', 'acme/bert@1', '--url', url], {}, folder)
    const refused = { code: 1, stderr: 'strongroom: No. [INVALID_SAFETENSORS reason=gap]\n' }
    // A reset may overtake the answer and take it out of the kernel's hands: then it can't be shown.
    const lost = { code: 3, stderr: /UNREACHABLE/ }
    t.match(pushed, isAbrupt && pushed.code === 3 ? lost : refused)
  }
})

t.test('a log that is not valid, and bytes that are not, end with 1', async (t) => {
  const head = { seq: 2, hash: 'a'.repeat(64), mac: null }
  const log = { valid: false, entries: 2, head, broken: { seq: 2, why: 'its hash is another' } }
  const url = await listen(t, (_request, response) => response.end(JSON.stringify(log)))
  t.match(await run(['audit', 'verify', '--url', url]), {
    code: 1,
    stdout: /NOT VALID from entry 2 on/,
  })
  const asJson = await run(['audit', 'verify', '--url', url, '--json'])
  t.equal(asJson.code, 1)
  t.strictSame(JSON.parse(asJson.stdout), log)
})

t.test('a proxy without its registry is no registry, and neither is a web page', async (t) => {
  const proxy = await listen(t, (_request, response) =>
    response.writeHead(502).end('<h1>Bad gateway</h1>'),
  )
  t.match(await run(['ls', '--url', proxy]), { code: 3, stderr: /UNREACHABLE/ })
  const page = await listen(t, (_request, response) => response.end('<h1>Welcome</h1>'))
  t.match(await run(['ls', '--url', page]), { code: 1, stderr: /not JSON/ })
})
