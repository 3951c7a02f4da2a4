import { readdirSync, readFileSync } from 'node:fs'
import type { RequestListener, ServerResponse } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { formatReprDigest } from '../../src/http/digest-header.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { run } from './fixture.ts'
import { changed, describe, hashesOf, listen, sha256 } from './liar.ts'

// A server that lies about tensors: whatever it says, nothing is written that isn't what its list told.

const bytes = Buffer.from(Float32Array.from({ length: 12 }, (_, i) => i).buffer)
const tensor = { name: 'w', dtype: 'F32', shape: [3, 4], bytes }
const file = writeSafetensors([tensor])
const files = [{ path: 'model.safetensors', bytes: file }]
const begin = file.length - bytes.length
const { revision } = describe(files)

const LISTED = {
  name: 'w',
  path: 'model.safetensors',
  dtype: 'F32',
  shape: [3, 4],
  begin,
  end: file.length,
  size: bytes.length,
  sha256: sha256(bytes),
}
const HEADERS = {
  'x-tensor-dtype': 'F32',
  'x-tensor-shape': '[3,4]',
  'repr-digest': formatReprDigest(sha256(bytes)),
}

interface Lies {
  /** Of the list of tensors. */
  readonly listed?: object
  readonly headers?: Readonly<Record<string, string>>
  readonly tensor?: Uint8Array
  readonly selection?: Uint8Array
}

const liar =
  ({ listed, headers, tensor = bytes, selection = file }: Lies): RequestListener =>
  (request, response) => {
    const route = /^\/v1\/checkpoints\/acme\/bert\/[^/?]*\/(\w+)/.exec(request.url ?? '')?.[1]
    const json = (document: object): ServerResponse => response.end(JSON.stringify(document))
    if (route === 'tensors') json({ items: [{ ...LISTED, ...listed }], next: null })
    else if (route === 'tensor') response.writeHead(200, { ...HEADERS, ...headers }).end(tensor)
    else if (route === 'select') response.end(selection)
    else json(describe(files))
  }

const another = { ...tensor, bytes: changed(bytes, 3) }
const TENSOR = ['--tensor', 'w']
const SLICE = ['--tensor', 'w', '--slice', '0']
const SELECT = ['--select', 'w']

const LIES: readonly (readonly [what: string, args: readonly string[], lies: Lies])[] = [
  ['bytes with another hash', TENSOR, { tensor: changed(bytes, 0) }],
  ['a list with another hash', TENSOR, { listed: { sha256: '0'.repeat(64) } }],
  [
    'a digest of other bytes',
    TENSOR,
    { headers: { 'repr-digest': formatReprDigest(sha256(file)) } },
  ],
  ['a digest that is none', TENSOR, { headers: { 'repr-digest': 'sha-256=:AAAA:' } }],
  ['a longer body', TENSOR, { tensor: Buffer.concat([bytes, bytes]) }],
  ['another shape', TENSOR, { headers: { 'x-tensor-shape': '[4,3]' } }],
  ['another dtype', TENSOR, { headers: { 'x-tensor-dtype': 'I32' } }],
  ['no dtype at all', TENSOR, { headers: { 'x-tensor-dtype': '' } }],
  ['a dtype that there is not', TENSOR, { listed: { dtype: 'F1' } }],
  ['a shape beyond all numbers', TENSOR, { listed: { shape: [2 ** 52, 2 ** 52] } }],
  ['a tensor that it does not list', TENSOR, { listed: { name: 'w2' } }],
  ['a place that climbs', TENSOR, { listed: { path: '../model.safetensors' } }],
  ['a slice of another shape', SLICE, {}],
  [
    'a slice that is longer',
    SLICE,
    { headers: { 'x-tensor-shape': '[4]', 'repr-digest': '' }, tensor: bytes },
  ],
  ['a slice of what has no such dimension', SLICE, { listed: { shape: [] } }],
  ['a selection with another tensor', SELECT, { selection: writeSafetensors([another]) }],
  [
    'a selection of another shape',
    SELECT,
    { selection: writeSafetensors([{ ...tensor, shape: [12] }]) },
  ],
  [
    'a selection with one tensor more',
    SELECT,
    { selection: writeSafetensors([tensor, { ...tensor, name: 'x' }]) },
  ],
  ['a selection that lacks a tensor', SELECT, { selection: writeSafetensors([]) }],
  ['a selection that it does not list', SELECT, { listed: { name: 'w2' } }],
  ['a selection with bytes behind it', SELECT, { selection: Buffer.concat([file, bytes]) }],
  ['a selection that ends early', SELECT, { selection: file.subarray(0, -1) }],
  ['a pickle for a selection', SELECT, { selection: Buffer.from([0x80, 2, 0x7d, 0x71, 0, 0x2e]) }],
]

for (const [what, args, lies] of LIES) {
  t.test(`a server that gives ${what} is not believed`, async (t) => {
    const folder = t.testdir({ out: {} })
    const url = await listen(t, liar(lies))
    const pulls = ['out/', '-'].map((output) =>
      run(
        ['pull', 'acme/bert@1', ...args, '-o', output, '--url', url],
        { TMPDIR: join(folder, 'out') },
        folder,
      ),
    )
    for (const pulled of await Promise.all(pulls))
      t.match(pulled, { code: 1, stdout: '', stderr: /NOT_AS_CLAIMED/ })
    t.strictSame(readdirSync(join(folder, 'out')), [], 'nothing is left')
  })
}

t.test('the same server is believed when it does not lie', async (t) => {
  const folder = t.testdir()
  const url = await listen(t, liar({}))
  for (const args of [TENSOR, SELECT]) {
    const pulled = await run(['pull', 'acme/bert@1', ...args, '-o', 'x', '--url', url], {}, folder)
    t.equal(pulled.code, 0, pulled.stderr)
  }
  t.ok(readFileSync(join(folder, 'x')).equals(file))
})

t.test('a tensor that breaks off is not there', async (t) => {
  const folder = t.testdir()
  const url = await listen(t, liar({ tensor: bytes.subarray(0, 10) }))
  const pulled = await run(['pull', 'acme/bert@1', ...TENSOR, '-o', folder, '--url', url])
  t.match(pulled, { code: 3, stderr: /UNREACHABLE/ })
  t.strictSame(readdirSync(folder), [])
})

t.test('a list without an end is found out', async (t) => {
  let page = 0
  const endless =
    (next: () => string): RequestListener =>
    (request, response) => {
      const url = request.url ?? ''
      if (/\/(?:tensors|diff)\?|checkpoints\?|history\?/.test(url)) {
        page += 1
        const lists = { items: [LISTED], added: [LISTED], removed: [], changed: [], same: 0 }
        const sides = { from: { version: '1', revision }, to: { version: '1', revision } }
        response.end(JSON.stringify({ ...lists, ...sides, next: next() }))
      } else liar({})(request, response)
    }
  const same = await listen(
    t,
    endless(() => 'again'),
  )
  const other = await listen(
    t,
    endless(() => String(page)),
  )
  const show = ['show', 'acme/bert@1', '--tensors']
  const diff = ['diff', 'acme/bert@1', '1']
  for (const [args, url] of [
    [show, same],
    [show, other],
    [[...show, '--json'], other],
    [diff, same],
    [diff, other],
    [[...diff, '--json'], other],
    [['tag', 'acme/bert', 'x', '--history'], same],
    [['ls'], same],
  ] as const) {
    const ended = await run([...args, '--url', url])
    t.match(ended, { code: 1, stderr: /NOT_AS_CLAIMED/ }, args.join(' '))
  }
})

t.test('a comparison of other versions is not shown', async (t) => {
  const url = await listen(t, (request, response) => {
    if (request.url?.includes('/diff?') !== true) {
      liar({})(request, response)
      return
    }
    const side = { version: '1', revision: '0'.repeat(64) }
    const lists = { added: [], removed: [], changed: [], same: 1, next: null }
    response.end(JSON.stringify({ from: side, to: side, ...lists }))
  })
  t.match(await run(['diff', 'acme/bert@1', '1', '--url', url]), {
    code: 1,
    stdout: '',
    stderr: /NOT_AS_CLAIMED/,
  })
})

t.test('no name, tag or word of a server moves the cursor', async (t) => {
  const evil = '\u001b[2J\u202e'
  const url = await listen(t, (request, response) => {
    const asked = request.url ?? ''
    const moved = { tag: evil, version: evil, revision, previous: null }
    const event = { seq: 1, at: evil, action: evil, who: { id: evil, name: evil } }
    if (asked.endsWith('/tags/x')) response.end(JSON.stringify(moved))
    else if (asked.includes('/history'))
      response.end(JSON.stringify({ items: [{ ...moved, ...event }], next: null }))
    else liar({ listed: { name: evil, dtype: evil } })(request, response)
  })
  for (const args of [
    ['show', 'acme/bert@1', '--tensors'],
    ['tag', 'acme/bert@1', 'x'],
    ['tag', 'acme/bert', 'x', '--history'],
  ]) {
    const shown = await run([...args, '--url', url])
    t.equal(shown.code, 0, shown.stderr)
    // eslint-disable-next-line no-control-regex -- the very thing
    t.notMatch(shown.stdout + shown.stderr, /[\u001b\u202e]/, args.join(' '))
    t.match(shown.stdout, /\\u001b/)
  }
})

const KIB = 1024
const CHUNK = 64 * KIB
const half = (letter: string): Buffer => Buffer.alloc(200 * KIB, letter)
const fileOf = (...letters: readonly string[]): Uint8Array =>
  writeSafetensors(
    letters.map((letter) => ({
      name: letter,
      dtype: 'U8',
      shape: [200 * KIB],
      bytes: half(letter),
    })),
  )
const base = fileOf('a', 'b')
const next = fileOf('c', 'b')
const VERSIONS = [
  describe([{ path: 'model.safetensors', bytes: base }], 'base'),
  describe([{ path: 'model.safetensors', bytes: next }], 'next'),
]

/** Honest but for the list of tensors. */
const deltaLiar =
  (tensors: (bytes: Uint8Array) => object): RequestListener =>
  (request, response) => {
    const url = request.url ?? ''
    const [, ref = ''] = /bert\/([^/?]+)/.exec(url) ?? []
    const version = VERSIONS.find((one) => one['version'] === ref || one.revision === ref)
    const bytes = version?.['version'] === 'base' ? base : next
    const [, first, last] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []
    if (url.includes('/tensors?')) response.end(JSON.stringify(tensors(bytes)))
    else if (url.includes('/hashes?')) response.end(JSON.stringify(hashesOf(bytes, CHUNK)))
    else if (!url.includes('/files/')) response.end(JSON.stringify(version))
    else if (first === undefined) response.end(bytes)
    else {
      response
        .writeHead(206, { 'content-range': `bytes ${first}-${last ?? ''}/${bytes.length}` })
        .end(bytes.subarray(Number(first), Number(last) + 1))
    }
  }

const listing = (bytes: Uint8Array, listed: object): object => {
  const place = { begin: bytes.length - 200 * KIB, end: bytes.length, size: 200 * KIB }
  return { items: [{ ...LISTED, ...place, sha256: sha256(half('b')), ...listed }], next: null }
}

t.test('a list that misplaces tensors costs a base its use, and no byte is wrong', async (t) => {
  const folder = t.testdir({ 'model.safetensors': Buffer.from(base) })
  const url = await listen(
    t,
    deltaLiar((bytes) =>
      listing(bytes, bytes === base ? { begin: 100, end: 100 + 200 * KIB } : {}),
    ),
  )
  const args = ['pull', 'acme/bert@next', '--base', 'base', '--url', url, '--json']
  const pulled = await run(args, {}, folder)
  t.equal(pulled.code, 0, pulled.stderr)
  t.ok(readFileSync(join(folder, 'model.safetensors')).equals(next))
})

t.test(
  'tensors that lie beyond their file, or are more than it has, are not believed',
  async (t) => {
    const folder = t.testdir({ 'model.safetensors': Buffer.from(base) })
    const [item] = (listing(base, {}) as { items: readonly object[] }).items
    for (const tensors of [
      (bytes: Uint8Array) => listing(bytes, { end: bytes.length + 1 }),
      (bytes: Uint8Array) => listing(bytes, { begin: bytes.length + 1 }),
      (bytes: Uint8Array) => listing(bytes, { path: 'other.safetensors' }),
      () => ({ items: [item, item], next: null }),
    ]) {
      const url = await listen(t, deltaLiar(tensors))
      const args = ['pull', 'acme/bert@next', '--base', 'base', '--url', url]
      t.match(await run(args, {}, folder), { code: 1, stderr: /NOT_AS_CLAIMED/ })
      t.ok(readFileSync(join(folder, 'model.safetensors')).equals(base), 'the base is as it was')
    }
  },
)
