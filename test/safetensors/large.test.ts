import t from 'tap'
import { nameAt } from '../../src/safetensors/columns.ts'
import { createValidator } from '../../src/safetensors/stream.ts'
import { checkTiling } from '../../src/safetensors/tiling.ts'
import { rawFile } from '../../bench/fuzz-safetensors/raw-file.ts'
import { chunksOf, refusal } from './verdicts.ts'

const COUNT = 50_000
const CHUNK_BYTES = 65_536

/** A header of 10 MB; `place` says where in the data each tensor lies. */
function largeHeader(place: (i: number) => number): Uint8Array {
  const filler = 'transformer.encoder.layer.attention.self.query.weight.'.repeat(2)
  const entries = Array.from({ length: COUNT }, (_, i) => {
    const begin = place(i) * 16
    return `"${filler}${i}":{"dtype":"F32","shape":[2,2],"data_offsets":[${begin},${begin + 16}]}`
  })
  return rawFile(`{${entries.join()}}`)
}

function read(file: Uint8Array, deferTilingAbove: number) {
  const validator = createValidator({ deferTilingAbove })
  let longestMs = 0
  for (const chunk of chunksOf(file, [CHUNK_BYTES])) {
    const start = performance.now()
    validator.write(chunk)
    longestMs = Math.max(longestMs, performance.now() - start)
  }
  return { header: validator.header ?? validator.end(), longestMs }
}

t.test('a header of 50,000 tensors is read without holding the thread up', async (t) => {
  const { header, longestMs } = read(
    largeHeader((i) => i),
    Infinity,
  )
  t.match(header, { tiled: true, parameters: COUNT * 4, columns: { count: COUNT } })
  t.ok(nameAt(header.columns, COUNT - 1).endsWith(`.${COUNT - 1}`))
  t.comment(`the longest of its 64 KiB took ${longestMs.toFixed(1)} ms`)
  // The bound that matters is 50 ms; a busy machine gets twice that, quadratic code still wouldn't fit.
  t.ok(longestMs < 100)
})

t.test('in another order than that of their bytes, tiling waits to be checked', async (t) => {
  const { header, longestMs } = read(
    largeHeader((i) => (i * 7919) % COUNT),
    1000,
  )
  t.equal(header.tiled, false)
  t.ok(longestMs < 100)
  t.equal(checkTiling(header.columns, header.dataBegin), header.fileBytes)
})

t.test('a duplicate among 50,000 names is found', async (t) => {
  const file = largeHeader((i) => i)
  const text = Buffer.from(file.buffer, file.byteOffset, file.length)
  text.write('.12345"', text.indexOf('.49999"'))
  t.throws(() => read(file, Infinity), refusal({ reason: 'duplicate_key' }))
})
