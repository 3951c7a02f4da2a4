import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import { revisionOf } from '../../src/registry/revision.ts'

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const A = 'a'.repeat(64)
const B = 'b'.repeat(64)

t.test('a revision is the SHA-256 of the canonical JSON written out by hand', async (t) => {
  const revision = revisionOf({
    version: '1.0',
    metadata: { loss: '0.12', epoch: '3' },
    files: [{ size: 12345678, sha256: A, path: 'model.safetensors' }],
    checkpoint: 'Acme/sae-pii',
  })
  const json = `{"checkpoint":"Acme/sae-pii","files":[{"path":"model.safetensors","sha256":"${A}","size":12345678}],"metadata":{"epoch":"3","loss":"0.12"},"version":"1.0"}`
  t.equal(revision, sha256(json))
})

t.test('a revision stays what it was in earlier releases', async (t) => {
  const manifest = { checkpoint: 'a/b', version: '1', files: [], metadata: {} }
  // printf '{"checkpoint":"a/b","files":[],"metadata":{},"version":"1"}' | sha256sum
  t.equal(revisionOf(manifest), 'b1439adf4661e14b8baa48baa64a21d92265e0c0c7b71c95d2dde32537aef744')
})

t.test('metadata keys are ordered by UTF-16 code units and files by UTF-8 bytes', async (t) => {
  // U+FF5E comes before U+1F510 in UTF-8 and after it in UTF-16.
  const revision = revisionOf({
    checkpoint: 'a/b',
    version: '1',
    files: [
      { path: '\u{1F510}', sha256: B, size: 0 },
      { path: '\uFF5E', sha256: A, size: 2 ** 53 - 1 },
    ],
    metadata: {
      '\uFF5E': 'after',
      '\u{1F510}': 'before',
      é: 'nul \0 tab \t quote " slash / \u007f',
    },
  })
  const files = `[{"path":"\uFF5E","sha256":"${A}","size":9007199254740991},{"path":"\u{1F510}","sha256":"${B}","size":0}]`
  const metadata = String.raw`{"é":"nul \u0000 tab \t quote \" slash / ${'\u007f'}","${'\u{1F510}'}":"before","${'\uFF5E'}":"after"}`
  t.equal(
    revision,
    sha256(`{"checkpoint":"a/b","files":${files},"metadata":${metadata},"version":"1"}`),
  )
})

t.test('the order in which files and metadata were given changes nothing', async (t) => {
  const path = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
  const files = fc.uniqueArray(fc.record({ path, sha256: fc.constantFrom(A, B), size: fc.nat() }), {
    selector: (file) => file.path,
  })
  fc.assert(
    fc.property(files, fc.dictionary(path, path), (files, metadata) => {
      const reversed = Object.fromEntries(Object.entries(metadata).reverse())
      const base = { checkpoint: 'a/b', version: '1' }
      return (
        revisionOf({ ...base, files, metadata }) ===
        revisionOf({ ...base, files: files.toReversed(), metadata: reversed })
      )
    }),
  )
  t.pass()
})

t.test('anything that a version says changes its revision', async (t) => {
  const file = { path: 'p', sha256: A, size: 1 }
  const base = { checkpoint: 'a/b', version: '1', files: [file], metadata: { k: 'v' } }
  const changed = [
    base,
    { ...base, checkpoint: 'A/b' },
    { ...base, version: '2' },
    { ...base, metadata: { k: 'w' } },
    { ...base, metadata: {} },
    { ...base, files: [] },
    { ...base, files: [{ ...file, path: 'q' }] },
    { ...base, files: [{ ...file, sha256: B }] },
    { ...base, files: [{ ...file, size: 2 }] },
  ]
  t.equal(new Set(changed.map(revisionOf)).size, changed.length)
})

t.test('metadata that is no valid Unicode is refused', async (t) => {
  for (const metadata of [{ k: 'a\ud800' }, { 'k\udc00': 'a' }])
    t.throws(() => revisionOf({ checkpoint: 'a/b', version: '1', files: [], metadata }), {
      code: 'METADATA_REFUSED',
      facts: { rule: 'unicode' },
    })
})

t.test("metadata may use the names of JavaScript's own properties", async (t) => {
  const metadata = JSON.parse('{"toJSON":"x","__proto__":"y","constructor":"z"}') as Record<
    string,
    string
  >
  const json = `{"checkpoint":"a/b","files":[],"metadata":{"__proto__":"y","constructor":"z","toJSON":"x"},"version":"1"}`
  t.equal(revisionOf({ checkpoint: 'a/b', version: '1', files: [], metadata }), sha256(json))
})
