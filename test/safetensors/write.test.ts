import fc from 'fast-check'
import safetensors from 'safetensors'
import t from 'tap'
import { DTYPES } from '../../src/safetensors/dtypes.ts'
import { tensorAt } from '../../src/safetensors/columns.ts'
import { validate } from '../../src/safetensors/stream.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { refusal } from './verdicts.ts'

const RUNS = { seed: 20_240_603, numRuns: 500 }

const name = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
  .filter((text) => !/\p{Cc}/u.test(text) && text.isWellFormed() && text !== '__metadata__')
const tensor = fc
  .record({ name, dtype: fc.constantFrom(...DTYPES), dim: fc.nat(5) })
  .map(({ name, dtype: { name: dtype, bits }, dim }) => {
    const shape = [2, dim, 4]
    const bytes = new Uint8Array(dim * bits).map((_, i) => i * 31 + dim)
    return { name, dtype, shape, bytes }
  })
const tensors = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 8 })
const metadata = fc.dictionary(name, fc.string({ unit: 'grapheme' }), { noNullPrototype: true })

t.test('what is written is read back', async () => {
  fc.assert(
    fc.property(tensors, fc.option(metadata, { nil: undefined }), (tensors, metadata) => {
      const file = writeSafetensors(tensors, metadata)
      const header = validate(file)
      const read = tensors.map((_, i) => {
        const { begin, end, ...rest } = tensorAt(header.columns, i)
        return { ...rest, bytes: file.slice(begin, end) }
      })
      t.strictSame(read, tensors)
      t.strictSame(Object.entries(header.metadata).sort(), Object.entries(metadata ?? {}).sort())
      t.equal(header.hasMetadata, metadata !== undefined)
      t.equal(header.dataBegin % 8, 0)
    }),
    { ...RUNS, numRuns: 200 },
  )
})

t.test('another reader, which checks nothing, reads the same', async () => {
  fc.assert(
    fc.property(tensors, (tensors) => {
      const reader = new safetensors.SafeTensor(writeSafetensors(tensors))
      return tensors.every(({ name, bytes }) => Buffer.from(bytes).equals(reader.getTensor(name)))
    }),
    RUNS,
  )
})

t.test('the same tensors give the same bytes, whatever the order of the metadata', async (t) => {
  const tensors = [{ name: 'a', dtype: 'U8', shape: [1], bytes: new Uint8Array(1) }]
  t.strictSame(
    writeSafetensors(tensors, { a: '1', b: '2' }),
    writeSafetensors(tensors, { b: '2', a: '1' }),
  )
})

t.test('what would not be valid is not written', async (t) => {
  const tensor = { name: 'a', dtype: 'F32', shape: [2], bytes: new Uint8Array(4) }
  t.throws(() => writeSafetensors([tensor]), refusal({ reason: 'size_mismatch', tensor: 'a' }))
})
