import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { RegistryError } from '../../src/errors.ts'
import { readCommit } from '../../src/hub/commit-lines.ts'
import { type Line, readJsonLines, type Spool } from '../../src/hub/json-lines.ts'

const OID = 'ab'.repeat(32)
const MAX_CONTENT = 1000

async function* linesOf(values: readonly unknown[], content?: Line['content']) {
  for (const value of values) yield await Promise.resolve({ value, content })
}

const spool: Spool = {
  append: () => Promise.resolve(),
  read: async function* () {
    yield await Promise.resolve(Buffer.from('spooled'))
  },
  discard: () => Promise.resolve(),
}

async function textOf(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of bytes) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

/** What the lines ask for, contents as text; or the code of the error. */
async function read(values: readonly unknown[], content?: Line['content']): Promise<unknown> {
  const asked: unknown[] = []
  try {
    for await (const operation of readCommit(linesOf(values, content), MAX_CONTENT))
      asked.push(
        operation.key === 'file'
          ? { ...operation, content: await textOf(operation.content()) }
          : operation,
      )
    return asked
  } catch (error) {
    if (error instanceof RegistryError) return error.code
    throw error
  }
}

const base64 = (text: string): string => Buffer.from(text).toString('base64')

t.test('each key of the Hub’s commits is read as its clients write it', async (t) => {
  const lines = [
    { key: 'header', value: { summary: 's', description: 'd', parentCommit: 'ABCDEF0' } },
    { key: 'file', value: { content: base64('{}'), path: 'a/config.json', encoding: 'base64' } },
    { key: 'file', value: { content: '', path: 'README.md' } },
    { key: 'lfsFile', value: { path: 'm.safetensors', algo: 'sha256', oid: OID, size: 1 } },
    { key: 'deletedFile', value: { path: 'old' } },
    { key: 'deletedFolder', value: { path: 'logs/' } },
    { key: 'deletedFolder', value: { path: '/' } },
  ]
  t.same(await read(lines), [
    { key: 'header', summary: 's', description: 'd', parentCommit: 'abcdef0' },
    { key: 'file', path: 'a/config.json', content: '{}' },
    { key: 'file', path: 'README.md', content: '' },
    { key: 'lfsFile', path: 'm.safetensors', oid: OID },
    { key: 'deletedFile', path: 'old' },
    { key: 'deletedFolder', path: 'logs' },
    { key: 'deletedFolder', path: '' },
  ])
  const header = { key: 'header', value: { summary: null, parentCommit: null } }
  t.same(await read([header]), [
    { key: 'header', summary: '', description: '', parentCommit: undefined },
  ])
})

t.test('a content that was taken out of its line is the file’s, and nothing else’s', async (t) => {
  const placeholder = randomUUID()
  const content = { placeholder, spool }
  const file = { key: 'file', value: { content: placeholder, path: 'a.json' } }
  t.same(await read([file], content), [{ key: 'file', path: 'a.json', content: 'spooled' }])
  for (const [what, value] of Object.entries({
    'the path': { key: 'file', value: { content: '', path: placeholder } },
    'the key': { key: placeholder, value: { content: '', path: 'a.json' } },
    'beside the value': { key: 'file', value: { path: 'a.json' }, content: placeholder },
    'a summary': { key: 'header', value: { summary: placeholder } },
    'another file of LFS': { key: 'lfsFile', value: { path: 'a', oid: OID, content: placeholder } },
    'part of a content': { key: 'file', value: { content: `${placeholder}=`, path: 'a.json' } },
  }))
    t.equal(await read([value], content), 'INVALID_REQUEST', what)
})

const file = (path: unknown, more: object = {}) => ({
  key: 'file',
  value: { content: 'QQ==', path, ...more },
})
const REFUSED: readonly (readonly [string, unknown, string?])[] = [
  ['a number', 1],
  ['null', null],
  ['a list', []],
  ['no value', { key: 'header' }],
  ['no key', { value: {} }],
  ['a key that is a list', { key: ['file'], value: { content: '', path: 'a' } }],
  ['an unknown key', { key: 'symlink', value: { path: 'a' } }],
  ['a key of every object', { key: '__proto__', value: {} }],
  ['no path', { key: 'file', value: { content: '' } }],
  ['a path that is none', file(['a'])],
  ['no content', { key: 'file', value: { path: 'a' } }],
  ['another encoding', file('a', { encoding: 'utf-8' })],
  ['no base64', file('a', { content: '#' })],
  ['a content that is too long', file('a', { content: base64('x'.repeat(1001)) }), 'TOO_LARGE'],
  ['another algorithm', { key: 'lfsFile', value: { path: 'a', algo: 'sha1', oid: OID } }],
  ['an oid that is none', { key: 'lfsFile', value: { path: 'a', oid: 'zz' } }],
  ['a parent that is none', { key: 'header', value: { summary: '', parentCommit: 'main' } }],
  ['a parent that is too short', { key: 'header', value: { parentCommit: 'abcdef' } }],
  ['a path out of the repository', file('../a'), 'INVALID_NAME'],
  ['an absolute path', file('/etc/passwd'), 'INVALID_NAME'],
  ['a path with a backslash', file('a\\b'), 'INVALID_NAME'],
  ['a path with a lone surrogate', file('\ud800'), 'INVALID_NAME'],
  ['a path with a NUL', file('a\0'), 'INVALID_NAME'],
  ['a path that is too long', file('a'.repeat(513)), 'INVALID_NAME'],
  [
    'the deletion of a path that is too long',
    { key: 'deletedFile', value: { path: 'a'.repeat(600) } },
  ],
  ['slashes without end', { key: 'deletedFolder', value: { path: '/'.repeat(60_000) + 'a' } }],
]
for (const [what, line, code = 'INVALID_REQUEST'] of REFUSED)
  t.test(`${what}: refused`, async (t) => {
    t.equal(await read([line]), code)
  })

t.test('a line of depth alone is refused as any other', async (t) => {
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  async function* body() {
    yield await Promise.resolve(Buffer.from(`{"key":${deep},"value":{}}`))
  }
  const lines = readJsonLines(body(), { maxLines: 1, maxContentBytes: 1 }, () =>
    Promise.resolve(spool),
  )
  await t.rejects(readCommit(lines, 1).next(), { code: 'INVALID_REQUEST' })
})

t.test('a path that is refused is told, in bounds', async (t) => {
  const lines = readCommit(linesOf([file(`\ud800${'a'.repeat(60_000)}`)]), 1)
  const error: unknown = await lines.next().catch((error: unknown) => error)
  t.ok(error instanceof Error && error.message.length < 400 && error.message.isWellFormed())
  t.match(error, { message: /aaaa/ })
})

t.test('whatever a line says, it is an operation or a declared error', async (t) => {
  const keys = ['header', 'file', 'lfsFile', 'deletedFile', 'deletedFolder', 'toString']
  const value = fc.dictionary(
    fc.constantFrom('path', 'content', 'oid', 'algo', 'encoding', 'summary', 'parentCommit'),
    fc.oneof(fc.string(), fc.constantFrom(OID, 'base64', 'sha256'), fc.jsonValue()),
  )
  const line = fc.oneof(fc.jsonValue(), fc.record({ key: fc.constantFrom(...keys), value }))
  await fc.assert(
    fc.asyncProperty(line, async (line) => {
      const outcome = await read([line])
      t.ok(
        Array.isArray(outcome) ||
          ['INVALID_REQUEST', 'INVALID_NAME', 'TOO_LARGE'].includes(String(outcome)),
      )
    }),
    { numRuns: 300 },
  )
})
