import fc from 'fast-check'
import { buffer, text } from 'node:stream/consumers'
import t from 'tap'
import { multipart } from '../../src/client/multipart.ts'
import { type FilePath, parseFilePath } from '../../src/registry/names.ts'

const path = fc
  .array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }), {
    minLength: 1,
    maxLength: 3,
  })
  .map((parts) => parts.join('/'))
  // That parser knows no quoted pairs, which Strongroom's own does.
  .filter((candidate) => {
    if (candidate.includes('"')) return false
    try {
      parseFilePath(candidate)
      return true
    } catch {
      return false
    }
  })
  .map((candidate) => parseFilePath(candidate))

const files = fc.uniqueArray(fc.record({ path, bytes: fc.uint8Array({ maxLength: 300 }) }), {
  selector: (file) => file.path,
  minLength: 1,
  maxLength: 4,
})

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 7) yield bytes.subarray(at, at + 7)
}

const formFile = (file: { path: FilePath; bytes: Uint8Array }) => ({
  path: file.path,
  sizeBytes: file.bytes.length,
  chunks: () => inPieces(file.bytes),
})

t.test(
  'a form of any files is as long as it says, and an independent parser reads it back',
  async (t) => {
    await fc.assert(
      fc.asyncProperty(files, fc.dictionary(fc.string(), fc.string()), async (given, metadata) => {
        const { contentType, sizeBytes, chunks } = multipart({ metadata }, given.map(formFile))
        const body = await buffer(chunks)
        if (body.length !== sizeBytes) return false
        const response = new Response(body, { headers: { 'content-type': contentType } })
        // eslint-disable-next-line @typescript-eslint/no-deprecated -- of our own few bytes
        const form = await response.formData()
        const field = form.get('metadata')
        const parts = form.getAll('file')
        if (field !== JSON.stringify(metadata) || parts.length !== given.length) return false
        for (const [i, { bytes }] of given.entries()) {
          const part = parts[i]
          if (!(part instanceof File)) return false
          if (!Buffer.from(await part.arrayBuffer()).equals(bytes)) return false
        }
        return true
      }),
      { numRuns: 50 },
    )
    t.pass()
  },
)

t.test('a quote in a path does not end the filename', async (t) => {
  const file = formFile({ path: parseFilePath('a "b"; name="metadata"'), bytes: Buffer.from('x') })
  const body = await text(multipart({}, [file]).chunks)
  t.match(body, 'filename="a \\"b\\"; name=\\"metadata\\""')
})
