import fc from 'fast-check'
import t from 'tap'
import { createTensorHasher } from '../../src/hashing/tensor-hasher.ts'
import { bytesOf, sha256 } from './fixture.ts'

/** Hashes the tensors at `spans` of a file that goes by in chunks, beginning at `from`. */
function digestsOf(
  file: Uint8Array,
  spans: readonly (readonly [number, number])[],
  from: number,
  chunks: readonly number[],
): Buffer {
  const digests = new Uint8Array(spans.length * 32)
  const hasher = createTensorHasher(
    Float64Array.from(spans, ([begin]) => begin),
    Float64Array.from(spans, ([, end]) => end),
    digests,
  )
  let turn = 0
  for (let at = from; at < file.length; turn++) {
    const chunk = file.subarray(at, at + (chunks[turn % chunks.length] ?? 1))
    hasher.update(chunk, at)
    at += chunk.length
  }
  return Buffer.from(digests)
}

const expectedOf = (file: Uint8Array, spans: readonly (readonly [number, number])[]): Buffer =>
  Buffer.concat(spans.map(([begin, end]) => sha256(file.subarray(begin, end))))

t.test(
  'each tensor gets its SHA-256, however the file is cut and in whatever order the header names them',
  (t) => {
    const cases = fc.record({
      sizes: fc.array(fc.oneof(fc.constant(0), fc.nat(40), fc.nat(700)), { maxLength: 20 }),
      order: fc.array(fc.nat(), { minLength: 20, maxLength: 20 }),
      headerBytes: fc.integer({ min: 8, max: 300 }),
      skipped: fc.nat(300),
      chunks: fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 8 }),
    })
    fc.assert(
      fc.property(cases, ({ sizes, order, headerBytes, skipped, chunks }) => {
        let end = headerBytes
        const tiled = sizes.map((size) => [end, (end += size)] as const)
        const spans = tiled
          .map((span, i) => ({ span, rank: order[i] ?? 0 }))
          .sort((a, b) => a.rank - b.rank)
          .map(({ span }) => span)
        const file = bytesOf('file', end)
        // The first slots of a file may have gone by before its header was read.
        const from = Math.min(skipped, headerBytes)
        t.ok(digestsOf(file, spans, from, chunks).equals(expectedOf(file, spans)))
      }),
      { numRuns: 300 },
    )
    t.end()
  },
)

t.test(
  'a tensor without bytes has the SHA-256 of nothing, also where no data comes at all',
  (t) => {
    const none = Buffer.alloc(10)
    t.ok(digestsOf(none, [[10, 10]], 10, [1]).equals(sha256(Buffer.alloc(0))))
    t.end()
  },
)

t.test('a tensor that ends where a chunk ends is done, and the next begins with the next', (t) => {
  const file = bytesOf('two', 30)
  const spans = [
    [10, 20],
    [20, 30],
  ] as const
  t.ok(digestsOf(file, spans, 0, [10]).equals(expectedOf(file, spans)))
  t.end()
})
