import t from 'tap'
import { tensorAt } from '../../src/safetensors/columns.ts'
import { validate } from '../../src/safetensors/stream.ts'
import { rawFile, u8 } from '../../bench/fuzz-safetensors/raw-file.ts'

const entry = (text: string) => `{"a":${text}}`
const shaped = (shape: string, dtype = 'U8', end = 1) =>
  entry(`{"dtype":"${dtype}","shape":${shape},"data_offsets":[0,${end}]}`)

t.test('a valid file is described', async (t) => {
  const header =
    '{"__metadata__":{"format":"pt","leer":""},' +
    '"b":{"data_offsets":[0,8],"shape":[2,2],"dtype":"BF16"},' +
    '"ä.\\ud83d\\ude00":{"dtype":"F4","shape":[6],"data_offsets":[8,11]},' +
    '"s":{"shape":[],"dtype":"U8","data_offsets":[11,12]}}  '
  const result = validate(rawFile(header, 12))
  const dataBegin = 8 + Buffer.byteLength(header)
  t.match(result, { dataBegin, fileBytes: dataBegin + 12, hasMetadata: true, tiled: true })
  t.strictSame({ ...result.metadata }, { format: 'pt', leer: '' })
  t.equal(result.parameters, 4 + 6 + 1)
  t.strictSame(
    [0, 1, 2].map((i) => tensorAt(result.columns, i)),
    [
      { name: 'b', dtype: 'BF16', shape: [2, 2], begin: dataBegin, end: dataBegin + 8 },
      { name: 'ä.😀', dtype: 'F4', shape: [6], begin: dataBegin + 8, end: dataBegin + 11 },
      { name: 's', dtype: 'U8', shape: [], begin: dataBegin + 11, end: dataBegin + 12 },
    ],
  )
  t.throws(() => tensorAt(result.columns, 3), RangeError)
})

const VALID: readonly (readonly [string, Uint8Array])[] = [
  ['an empty state dict', rawFile('{}')],
  ['only metadata', rawFile('{"__metadata__":{}}')],
  ['metadata after the tensors', rawFile(`{${u8('a', 0, 1)},"__metadata__":{"k":"v"}}`, 1)],
  ['white space between tokens', rawFile(`{\n\t"__metadata__" : {\r\n} , ${u8('a', 0, 1)} }`, 1)],
  ['tensors out of the order of their bytes', rawFile(`{${u8('b', 1, 3)},${u8('a', 0, 1)}}`, 3)],
  [
    'tensors of no bytes anywhere between',
    rawFile(
      `{${u8('z', 3, 3)},${u8('b', 1, 3)},${u8('y', 1, 1)},${u8('a', 0, 1)},${u8('x', 0, 0)}}`,
      3,
    ),
  ],
  ['a dimension of 0 beside one of 2^53 − 1', rawFile(shaped('[9007199254740991,0]', 'F64', 0))],
  ['two tensors of no bytes', rawFile(`{${u8('a', 0, 0)},${u8('b', 0, 0)}}`)],
  ['a tensor named __proto__', rawFile(`{${u8('__proto__', 0, 1)}}`, 1)],
  [
    'a metadata key named __proto__',
    rawFile('{"__metadata__":{"__proto__":"x","constructor":"y"}}'),
  ],
  ['a name of 4 KiB', rawFile(`{${u8('é'.repeat(2048), 0, 1)}}`, 1)],
  ['a byte order mark inside a string', rawFile('{"__metadata__":{"\ufeffk":"\ufeffv"}}')],
  ['64 dimensions', rawFile(shaped(`[${Array(64).fill('1').join()}]`), 1)],
  [
    'control characters in metadata, escaped',
    rawFile('{"__metadata__":{"\\u0000":"\\b\\f\\n\\r\\t\\/\\\\\\""}}'),
  ],
]
for (const [title, file] of VALID)
  t.test(`valid: ${title}`, async (t) => {
    t.doesNotThrow(() => validate(file))
  })

t.test('strings come back unescaped, whatever they hold', async (t) => {
  const { metadata } = validate(
    rawFile('{"__metadata__":{"__proto__":"\\u00e9\\uD83D\\ude00\ufeff\\n"}}'),
  )
  t.strictSame(Object.entries(metadata), [['__proto__', 'é😀\ufeff\n']])
})
