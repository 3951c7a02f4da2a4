import { createHash } from 'node:crypto'
import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { ADMIN, startServer } from '../helpers/server.ts'
import { type Json, jsonOf, problem, smallFile } from './wire.ts'

const { put, request, token } = await startServer(t)

const itemsOf = (page: Json) => page['items'] as readonly Json[]

/** Follows `Link: rel="next"` to the end, holding it against `next` of each page. */
async function allPages(t: Tap, path: string, parameter: string, as = ADMIN): Promise<Json[][]> {
  const pages: Json[][] = []
  for (let at: string | undefined = path; at !== undefined;) {
    const response: Response = await request(at, { token: as })
    const page = await jsonOf(response)
    pages.push([...itemsOf(page)])
    const link: RegExpExecArray | null = /^<(.*)>; rel="next"$/.exec(
      response.headers.get('link') ?? '',
    )
    at = link?.[1]
    const next = at === undefined ? null : new URL(at, 'http://a').searchParams.get(parameter)
    t.equal(page['next'], next)
  }
  return pages
}
type Tap = Pick<typeof t, 'equal'>

t.test('checkpoints are listed page by page, in order, each once', async (t) => {
  const names = ['a/one', 'a/two', 'b/one', 'B/two', 'c/one']
  for (const name of names) await put(`${name}/1.0`, smallFile())
  const pages = await allPages(t, '/v1/checkpoints?limit=2', 'cursor')
  t.strictSame(
    pages.flat().map(({ checkpoint }) => checkpoint),
    names,
  )
  t.ok(pages.every((page) => page.length <= 2))
  t.match(pages[0]?.[0], { checkpoint: 'a/one', versions: 1, latest: '1.0', created_at: /Z$/ })
  for (const [query, expected] of [
    ['owner=B', ['b/one', 'B/two']],
    ['prefix=a/t', ['a/two']],
    ['owner=none', []],
  ] as const) {
    const page = await jsonOf(await request(`/v1/checkpoints?${query}`))
    t.strictSame(
      itemsOf(page).map(({ checkpoint }) => checkpoint),
      expected,
      query,
    )
  }
})

t.test('a list holds what lies in the caller’s scope and nothing else', async (t) => {
  for (const name of ['mine/a', 'mine/ab', 'theirs/a']) await put(`${name}/1.0`, smallFile())
  for (const [scope, expected] of [
    ['mine/*', ['mine/a', 'mine/ab']],
    ['MINE/A', ['mine/a']],
    ['mine/ab*', ['mine/ab']],
  ] as const) {
    const reader = await token('reader', scope)
    const pages = await allPages(t, '/v1/checkpoints?limit=1', 'cursor', reader)
    t.strictSame(
      pages.flat().map(({ checkpoint }) => checkpoint),
      expected,
    )
  }
})

t.test('a page is asked for in numbers and cursors that make sense', async (t) => {
  for (const query of ['limit=0', 'limit=1001', 'limit=x', 'cursor=x', 'cursor=WzFd']) {
    const field = `query.${query.split('=')[0] ?? ''}`
    const response = await request(`/v1/checkpoints?${query}`)
    await problem(t, response, 400, 'INVALID_REQUEST', { errors: [{ field }] })
  }
})

t.test('latest is the version admitted last, and any ref leads to its version', async (t) => {
  const revisions = new Map<string, string>()
  for (const [i, version] of ['2.0', '1.0', '1.5-rc.1+x'].entries()) {
    const { revision } = await jsonOf(await put(`acme/refs/${version}`, smallFile(i)))
    revisions.set(version, String(revision))
  }
  for (const [version, revision] of revisions) {
    for (const ref of [version, revision, revision.slice(0, 12), revision.toUpperCase()]) {
      const response = await request(`/v1/checkpoints/acme/refs/${encodeURIComponent(ref)}`)
      t.equal(response.headers.get('x-checkpoint-version'), version, ref)
      t.equal(response.headers.get('x-checkpoint-revision'), revision)
      t.match(await jsonOf(response), { version, revision })
    }
  }
  const latest = await request('/v1/checkpoints/acme/refs/latest')
  t.match(await jsonOf(latest), { version: '1.5-rc.1+x', tags: ['latest'] })
  t.match(await jsonOf(await request('/v1/checkpoints/acme/refs')), {
    checkpoint: 'acme/refs',
    versions: { length: 3 },
    tags: { latest: '1.5-rc.1+x' },
    policy: {},
  })
})

const tensors = ['a', 'b.weight', 'b.bias', 'ъ', 'z'].map((name, i) => ({
  name,
  dtype: 'F32',
  shape: [i, 2],
  bytes: new Uint8Array(i * 8).fill(i),
}))

t.test('tensors are listed with where they lie and what they hash to', async (t) => {
  const file = writeSafetensors(tensors)
  await put('acme/tensors/1.0', file)
  await put('acme/tensors/1.1', file, { query: '?path=other.safetensors' })
  const pages = await allPages(t, '/v1/checkpoints/acme/tensors/1.0/tensors?limit=2', 'cursor')
  t.strictSame(
    pages.flat().map(({ name }) => name),
    ['a', 'b.bias', 'b.weight', 'z', 'ъ'],
    'in byte order',
  )
  for (const item of pages.flat()) {
    const tensor = tensors.find(({ name }) => name === item['name'])
    const { begin, end } = item as { begin: number; end: number }
    const bytes = Buffer.from(file.subarray(begin, end))
    t.strictSame(bytes, Buffer.from(tensor?.bytes ?? []))
    t.match(item, {
      path: 'model.safetensors',
      dtype: 'F32',
      shape: tensor?.shape,
      size: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    })
  }
  const some = await request('/v1/checkpoints/acme/tensors/1.0/tensors?prefix=b.')
  t.equal(some.headers.get('x-checkpoint-version'), '1.0')
  t.strictSame(
    itemsOf(await jsonOf(some)).map(({ name }) => name),
    ['b.bias', 'b.weight'],
  )
  const path = '?path=model.safetensors'
  t.equal((await request(`/v1/checkpoints/acme/tensors/1.0/tensors${path}`)).status, 200)
  const none = await request(`/v1/checkpoints/acme/tensors/1.1/tensors${path}`)
  await problem(t, none, 404, 'NOT_FOUND', { what: 'file' })
})

t.test('the hashes are those with which a client checks any range by itself', async (t) => {
  const size = 2_500_000
  const bytes = Uint8Array.from({ length: size }, (_, i) => i % 251)
  const file = writeSafetensors([{ name: 'a', dtype: 'U8', shape: [size], bytes }])
  await put('acme/hashes/1.0', file)
  const response = await request('/v1/checkpoints/acme/hashes/1.0/hashes')
  const hashes = await jsonOf(response)
  const chunk = Number(hashes['chunk_size'])
  const leaves = Array.from({ length: Math.ceil(file.length / chunk) }, (_, i) =>
    createHash('sha256')
      .update(file.subarray(i * chunk, (i + 1) * chunk))
      .digest('hex'),
  )
  t.ok(leaves.length > 1)
  const sha256 = createHash('sha256').update(file).digest('hex')
  t.strictSame(hashes, { sha256, size: file.length, chunk_size: chunk, leaves })
  t.match(response.headers.get('x-checkpoint-revision'), /^[0-9a-f]{64}$/)
  const other = await request('/v1/checkpoints/acme/hashes/1.0/hashes?path=other')
  await problem(t, other, 404, 'NOT_FOUND', { what: 'file' })
})

t.test('verify re-reads every file and says of each whether it holds', async (t) => {
  const file = smallFile(9)
  await put('acme/verified/1.0', file)
  const response = await request('/v1/checkpoints/acme/verified/1.0/verify', {
    token: ADMIN,
    method: 'POST',
  })
  t.equal(response.headers.get('x-checkpoint-version'), '1.0')
  const sha256 = createHash('sha256').update(file).digest('hex')
  t.strictSame(await jsonOf(response), {
    valid: true,
    files: [{ path: 'model.safetensors', valid: true, sha256, size: file.length }],
  })
})

t.test('what is not there is named: checkpoint or version', async (t) => {
  await put('acme/there/1.0', smallFile())
  for (const rest of ['', '/tensors', '/hashes']) {
    const none = await request(`/v1/checkpoints/acme/none/1.0${rest}`)
    await problem(t, none, 404, 'NOT_FOUND', { what: 'checkpoint' })
    const version = await request(`/v1/checkpoints/acme/there/9.9${rest}`)
    await problem(t, version, 404, 'NOT_FOUND', { what: 'version' })
  }
})
