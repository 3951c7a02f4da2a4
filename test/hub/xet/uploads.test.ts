import { createHash } from 'node:crypto'
import t from 'tap'
import { decodeChunk } from '../../../src/hub/xet/chunk.ts'
import { chunkAt } from '../../../src/hub/xet/xorb-index.ts'
import SOURCES from '../../fixtures/xet/files.json' with { type: 'json' }
import { assemble, filesOf, indexOf, refusal, uploadOf } from './fixtures.ts'

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

const sources = Object.entries(SOURCES).map(([name, file]) => ({ name, ...file }))
const SMALL: readonly string[] = ['five.bin', 'text.bin', 'zeros.bin']

const COMMITS = {
  'hf_xet-1.8.0': sources,
  'hf_xet-1.5.1': sources.filter(({ name }) => SMALL.includes(name)),
  'huggingface-hub-js': sources,
}

for (const [client, expected] of Object.entries(COMMITS))
  t.test(`what ${client} uploads gives back the very files, each with its SHA-256`, async (t) => {
    const upload = uploadOf(client)
    const found: Record<string, number> = {}
    for (const file of await filesOf(upload)) {
      const bytes = assemble(file, upload.xorbs)
      t.equal(sha256(bytes), file.sha256)
      t.equal(bytes.length, file.unpackedBytes)
      found[sha256(bytes)] = bytes.length
    }
    t.same(found, Object.fromEntries(expected.map(({ sha256, size }) => [sha256, size])))
  })

t.test('a file names its xorbs as their URLs do', async (t) => {
  const upload = uploadOf('huggingface-hub-js')
  const named = new Set<string>()
  for (const { terms } of await filesOf(upload))
    for (let i = 0; i < terms.count; i += 1) named.add(terms.at(i).xorb)
  t.same([...named].sort(), [...upload.xorbs.keys()].sort())
})

t.test('a xorb has chunks of every scheme, and its index says where each lies', async (t) => {
  const [xorb = new Uint8Array()] = uploadOf('hf_xet-1.8.0').xorbs.values()
  const index = indexOf(xorb)
  const chunks = Array.from({ length: index.chunkCount }, (_, i) => chunkAt(index, i))
  t.same(new Set(chunks.map(({ scheme }) => scheme)), new Set(['raw', 'lz4', 'grouped_lz4']))
  t.equal(chunks.at(-1)?.end, xorb.length)
  t.equal(
    chunks.reduce((sum, { rawBytes }) => sum + rawBytes, 0),
    index.rawBytes,
  )
})

t.test('a chunk that holds more or less than its header says is refused', async (t) => {
  const [xorb = new Uint8Array()] = uploadOf('hf_xet-1.8.0').xorbs.values()
  const index = indexOf(xorb)
  for (let i = 0; i < index.chunkCount; i += 1) {
    const { scheme, begin, end, rawBytes } = chunkAt(index, i)
    const decode = (bytes: number) => () => decodeChunk(xorb.subarray(begin, end), scheme, bytes)
    t.equal(await refusal(decode(rawBytes)), undefined)
    t.match(
      await refusal(decode(rawBytes - 1)),
      scheme === 'raw' ? 'chunk_size_mismatch' : 'lz4_too_long',
    )
    t.equal(await refusal(decode(rawBytes + 1)), 'chunk_size_mismatch')
  }
})
