import fc from 'fast-check'
import t from 'tap'
import { SafetensorsError } from '../../src/safetensors/safetensors-error.ts'
import { createValidator, validate } from '../../src/safetensors/stream.ts'
import { checkTiling } from '../../src/safetensors/tiling.ts'
import { mutant, soundFile } from '../../bench/fuzz-safetensors/mutants.ts'
import { rawFile, u8 } from '../../bench/fuzz-safetensors/raw-file.ts'
import { chunksOf, refusal, verdictOf } from './verdicts.ts'

const RUNS = { seed: 20_240_601, numRuns: 1500 }
const bytesOf = (file: Uint8Array) => chunksOf(file, [1])

t.test('every sound file is accepted', async () => {
  fc.assert(
    fc.property(soundFile, (file) => {
      validate(file)
    }),
    RUNS,
  )
})

t.test('however the bytes come, the verdict is the same', async () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 })
  fc.assert(
    fc.property(mutant, lengths, fc.boolean(), (file, lengths, isSizeKnown) => {
      const options = isSizeKnown ? { fileBytes: file.length } : {}
      const whole = JSON.stringify(verdictOf([file], options))
      for (const chunks of [bytesOf(file), chunksOf(file, lengths)])
        if (JSON.stringify(verdictOf(chunks, options)) !== whole) return false
      return true
    }),
    RUNS,
  )
})

t.test('bytes of no kind at all get one of the declared reasons, however they come', async () => {
  const start = fc.constantFrom(
    '',
    '\x10\0\0\0\0\0\0\0',
    '\x10\0\0\0\0\0\0\0{',
    'PK\x03\x04',
    '\x80\x02',
    '(dp0',
    '[',
    '<ht',
  )
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 600 }), (start, rest) => {
      const file = Buffer.concat([Buffer.from(start, 'latin1'), rest])
      const whole = JSON.stringify(verdictOf([file]))
      return whole.includes('"reason"') && JSON.stringify(verdictOf(bytesOf(file))) === whole
    }),
    RUNS,
  )
})

t.test('every head of a sound file is cut short, and says so', async () => {
  const CUT = new Set(['truncated', 'header_truncated', 'not_safetensors'])
  fc.assert(
    fc.property(soundFile, fc.nat(10_000), (file, at) => {
      const verdict = verdictOf([file.subarray(0, at % file.length)])
      return 'reason' in verdict && CUT.has(verdict.reason)
    }),
    RUNS,
  )
})

t.test('the header is there as soon as its last byte is', async (t) => {
  const file = rawFile(`{${u8('a', 0, 4)}}`, 4)
  const validator = createValidator()
  validator.write(file.subarray(0, 8))
  t.equal(validator.headerBytes, undefined)
  validator.write(file.subarray(8, 9))
  t.equal(validator.headerBytes, file.length - 12)
  validator.write(file.subarray(9, file.length - 5))
  t.equal(validator.header, undefined)
  validator.write(file.subarray(file.length - 5, file.length - 4))
  t.match(validator.header, { fileBytes: file.length })
  validator.write(file.subarray(file.length - 4))
  t.equal(validator.end(), validator.header)
})

t.test('a refusal comes with the byte that causes it', async (t) => {
  const file = rawFile(`{${u8('a', 0, 4)},${u8('a', 4, 8)}}`, 8)
  const verdict = verdictOf(bytesOf(file))
  const offset = 'offset' in verdict ? verdict.offset : undefined
  const validator = createValidator()
  t.doesNotThrow(() => {
    validator.write(file.subarray(0, offset))
  })
  t.throws(
    () => {
      validator.write(file.subarray(offset, (offset ?? 0) + 1))
    },
    refusal({ reason: 'duplicate_key', tensor: 'a' }),
  )
})

t.test('with the size known, a wrong one is refused when the header is complete', async (t) => {
  const header = rawFile(`{${u8('a', 0, 4)}}`)
  for (const [fileBytes, reason] of [
    [header.length + 3, 'truncated'],
    [header.length + 5, 'trailing_bytes'],
    [header.length - 1, 'header_truncated'],
  ] as const)
    t.throws(() => {
      createValidator({ fileBytes }).write(header)
    }, refusal({ reason }))
})

t.test(
  'with the size known, a header longer than the file is refused at its eighth byte',
  async (t) => {
    t.throws(
      () => {
        createValidator({ fileBytes: 100 }).write(rawFile('', 0, 1000n))
      },
      refusal({ reason: 'header_truncated', offset: 8 }),
    )
  },
)

t.test('after a refusal there is only that refusal', async (t) => {
  const validator = createValidator()
  const expected = refusal({ reason: 'header_not_json' })
  for (let i = 0; i < 2; i += 1)
    t.throws(() => {
      validator.write(rawFile('[]'))
    }, expected)
  t.throws(() => validator.end(), expected)
})

t.test('tiling out of order can be left to the caller', async (t) => {
  const deferTilingAbove = 2
  const read = (header: string) => {
    const file = rawFile(header)
    const validator = createValidator({ deferTilingAbove })
    validator.write(file)
    const { columns, dataBegin, tiled } = validator.header ?? validator.end()
    return { columns, dataBegin, tiled }
  }
  t.equal(read(`{${u8('b', 1, 2)},${u8('a', 0, 1)}}`).tiled, true)
  t.equal(read(`{${u8('a', 0, 1)},${u8('b', 1, 2)},${u8('c', 2, 3)}}`).tiled, true)
  const sound = read(`{${u8('a', 0, 1)},${u8('c', 2, 3)},${u8('b', 1, 2)}}`)
  t.equal(sound.tiled, false)
  t.equal(checkTiling(sound.columns, sound.dataBegin), sound.dataBegin + 3)
  const gap = read(`{${u8('a', 0, 1)},${u8('c', 3, 4)},${u8('b', 1, 2)}}`)
  t.throws(
    () => checkTiling(gap.columns, gap.dataBegin),
    refusal({
      reason: 'gap',
      tensor: 'c',
      offset: gap.dataBegin + 2,
    }),
  )
})

t.test('columns can be transferred to another thread', async (t) => {
  const { columns } = validate(rawFile(`{${u8('a', 0, 1)},${u8('bc', 1, 3)}}`, 3))
  const { names, nameEnds, dtypes, dims, dimEnds, begins, ends } = columns
  const arrays = { names, nameEnds, dtypes, dims, dimEnds, begins, ends }
  const lengths = { names: 3, nameEnds: 8, dtypes: 2, dims: 16, dimEnds: 8, begins: 16, ends: 16 }
  const buffers = Object.values(arrays).map((array) => array.buffer)
  t.strictSame(
    Object.fromEntries(Object.entries(arrays).map(([k, { buffer }]) => [k, buffer.byteLength])),
    lengths,
  )
  const there = structuredClone(columns, {
    transfer: buffers.filter((buffer) => buffer instanceof ArrayBuffer),
  })
  t.strictSame(Array.from(there.names), [97, 98, 99])
  t.equal(columns.names.length, 0)
})

t.test('an error is an Error', async (t) => {
  t.ok(new SafetensorsError('gap', 'a sentence') instanceof Error)
})
