import t from 'tap'
import { rawFile, u8 } from '../../bench/fuzz-safetensors/raw-file.ts'
import { testRefusals, verdictOf } from './verdicts.ts'

const entry = (text: string) => `{"a":${text}}`
const shaped = (shape: string, dtype = 'U8', end = 1) =>
  entry(`{"dtype":"${dtype}","shape":${shape},"data_offsets":[0,${end}]}`)
const placed = (offsets: string) => entry(`{"dtype":"U8","shape":[1],"data_offsets":${offsets}}`)
const bytes = (...parts: (string | number[])[]) => Buffer.concat(parts.map((p) => Buffer.from(p)))

testRefusals(t, [
  // Entries
  ['a number for an entry', rawFile('{"a":1}'), 'tensor_entry_invalid', 13, 'a'],
  ['an array for an entry', rawFile('{"a":[]}'), 'tensor_entry_invalid', 13, 'a'],
  ['an empty entry', rawFile('{"a":{}}'), 'tensor_entry_invalid'],
  ['entries in entries', rawFile('{"a":'.repeat(50_000)), 'tensor_entry_invalid'],
  ['no dtype', rawFile(entry('{"shape":[],"data_offsets":[0,1]}'), 1), 'tensor_entry_invalid'],
  ['no shape', rawFile(entry('{"dtype":"U8","data_offsets":[0,1]}'), 1), 'tensor_entry_invalid'],
  ['no data_offsets', rawFile(entry('{"dtype":"U8","shape":[]}'), 1), 'tensor_entry_invalid'],
  [
    'one key more',
    rawFile(entry('{"dtype":"U8","shape":[],"data_offsets":[0,1],"x":1}'), 1),
    'tensor_entry_invalid',
  ],
  ['a key of another case', rawFile(entry('{"Dtype":"U8"}')), 'tensor_entry_invalid'],
  ['a long key', rawFile(entry(`{"${'k'.repeat(1000)}":1}`)), 'tensor_entry_invalid', 8 + 7 + 16],
  ['a number for a dtype', rawFile(entry('{"dtype":1}')), 'tensor_entry_invalid'],
  ['a string for a shape', rawFile(shaped('"1"'), 1), 'tensor_entry_invalid'],
  ['null for data_offsets', rawFile(placed('null'), 1), 'tensor_entry_invalid'],
  ['no offset', rawFile(placed('[]'), 1), 'tensor_entry_invalid'],
  ['one offset', rawFile(placed('[0]'), 1), 'tensor_entry_invalid'],
  ['three offsets', rawFile(placed('[0,1,1]'), 1), 'tensor_entry_invalid'],
  // Dtypes
  ['a dtype in lower case', rawFile(shaped('[1]', 'u8'), 1), 'unknown_dtype', undefined, 'a'],
  ['an unknown dtype', rawFile(shaped('[1]', 'F128'), 1), 'unknown_dtype'],
  ['a dtype without end', rawFile(shaped('[1]', 'U'.repeat(1000)), 1), 'unknown_dtype'],
  ['an empty dtype', rawFile(shaped('[1]', ''), 1), 'unknown_dtype'],
  // Shapes
  ['1.0 in a shape', rawFile(shaped('[1.0]'), 1), 'shape_invalid'],
  ['1e2 in a shape', rawFile(shaped('[1e2]'), 1), 'shape_invalid'],
  ['−0 in a shape', rawFile(shaped('[-0]'), 1), 'shape_invalid'],
  ['−1 in a shape', rawFile(shaped('[-1]'), 1), 'shape_invalid'],
  ['a string in a shape', rawFile(shaped('["1"]'), 1), 'shape_invalid'],
  ['null in a shape', rawFile(shaped('[null]'), 1), 'shape_invalid'],
  ['2^53 in a shape', rawFile(shaped('[9007199254740992]'), 1), 'shape_invalid'],
  ['2^64 in a shape', rawFile(shaped('[18446744073709551616]'), 1), 'shape_invalid'],
  ['2^32 × 2^32', rawFile(shaped('[4294967296,4294967296]'), 1), 'shape_invalid'],
  ['2^32 × 2^32 × 0', rawFile(shaped('[4294967296,4294967296,0]', 'U8', 0)), 'shape_invalid'],
  ['bytes beyond 2^53', rawFile(shaped('[9007199254740991]', 'F64'), 1), 'shape_invalid'],
  ['65 dimensions', rawFile(shaped(`[${Array(65).fill('1').join()}]`), 1), 'shape_invalid'],
  ['3 elements of 6 bits', rawFile(shaped('[3]', 'F6_E2M3', 2), 2), 'shape_invalid'],
  ['3 elements of 4 bits', rawFile(shaped('[3]', 'F4', 1), 1), 'shape_invalid'],
  // Offsets
  ['offsets reversed', rawFile(placed('[1,0]'), 1), 'offsets_invalid', undefined, 'a'],
  ['a negative offset', rawFile(placed('[-1,0]'), 1), 'offsets_invalid'],
  ['a fraction as an offset', rawFile(placed('[0,1.0]'), 1), 'offsets_invalid'],
  ['2^53 + 1 as an offset', rawFile(placed('[0,9007199254740993]'), 1), 'offsets_invalid'],
  [
    '2^53 − 1 as an offset',
    rawFile(placed('[9007199254740990,9007199254740991]'), 1),
    'offsets_invalid',
  ],
  ['2^64 as an offset', rawFile(placed('[0,18446744073709551616]'), 1), 'offsets_invalid'],
  ['a shape of fewer bytes', rawFile(shaped('[1]', 'F32', 5), 5), 'size_mismatch', undefined, 'a'],
  ['a shape of more bytes', rawFile(shaped('[2]', 'U8', 1), 1), 'size_mismatch'],
  // Tiling
  ['a gap before the first tensor', rawFile(`{${u8('a', 1, 2)}}`, 2), 'gap', 8 + 53, 'a'],
  ['a gap of a byte', rawFile(`{${u8('a', 0, 4)},${u8('b', 5, 9)}}`, 9), 'gap', undefined, 'b'],
  [
    'an overlap of a byte',
    rawFile(`{${u8('a', 0, 4)},${u8('b', 3, 7)}}`, 7),
    'overlap',
    undefined,
    'b',
  ],
  ['two tensors of the same bytes', rawFile(`{${u8('a', 0, 4)},${u8('b', 0, 4)}}`, 4), 'overlap'],
  [
    'a tensor of no bytes inside another',
    rawFile(`{${u8('a', 0, 4)},${u8('z', 2, 2)}}`, 4),
    'overlap',
    undefined,
    'z',
  ],
  [
    'a tensor of no bytes beyond the last',
    rawFile(`{${u8('a', 0, 4)},${u8('z', 5, 5)}}`, 5),
    'gap',
    undefined,
    'z',
  ],
  ['the last byte missing', rawFile(`{${u8('a', 0, 4)}}`, 3), 'truncated', 8 + 53 + 3],
  ['a byte too many', rawFile(`{${u8('a', 0, 4)}}`, 5), 'trailing_bytes', 8 + 53 + 4],
  [
    'a pickle appended',
    rawFile(`{${u8('a', 0, 1)}}`, bytes([0], '\x80\x02}q\0.')),
    'trailing_bytes',
  ],
  [
    'a ZIP in a gap',
    rawFile(
      `{${u8('a', 0, 1)},${u8('b', 23, 24)}}`,
      bytes([0], 'PK\x05\x06', Array<number>(19).fill(0)),
    ),
    'gap',
  ],
  ['bytes after an empty state dict', rawFile('{}', 1), 'trailing_bytes', 10],
])

t.test('too_many_tensors: one more than the limit', async (t) => {
  const file = rawFile(`{${u8('a', 0, 1)},${u8('b', 1, 2)},${u8('c', 2, 3)}}`, 3)
  t.match(verdictOf([file], { maxTensors: 2 }), { reason: 'too_many_tensors' })
  t.match(verdictOf([file], { maxTensors: 3 }), { parameters: 3 })
})

t.test('header_too_large: the limit can be lower', async (t) => {
  const file = rawFile(`{${u8('a', 0, 1)}}`, 1)
  t.match(verdictOf([file], { maxHeaderBytes: 16 }), { reason: 'header_too_large' })
})
