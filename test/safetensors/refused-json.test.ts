import t from 'tap'
import { rawFile, u8 } from '../../bench/fuzz-safetensors/raw-file.ts'
import { testRefusals } from './verdicts.ts'

const entry = (text: string) => `{"a":${text}}`
const shaped = (shape: string, dtype = 'U8', end = 1) =>
  entry(`{"dtype":"${dtype}","shape":${shape},"data_offsets":[0,${end}]}`)
const bytes = (...parts: (string | number[])[]) => Buffer.concat(parts.map((p) => Buffer.from(p)))

testRefusals(t, [
  // Lengths
  ['nothing', bytes(), 'not_safetensors', 0],
  ['4 bytes', bytes([9, 0, 0, 0]), 'header_truncated', 4],
  ['8 bytes and no header', rawFile('', 0, 16n), 'header_truncated', 8],
  ['N = 0', rawFile('{}', 0, 0n), 'header_not_json'],
  ['N = 1', rawFile('{', 0, 1n), 'header_not_json'],
  ['N one more than the cap', rawFile('{}', 0, 100_000_001n), 'header_too_large'],
  ['N = 2^63, alone', rawFile('', 0, 2n ** 63n), 'header_too_large'],
  ['N = 2^64 − 1 before a header', rawFile('{}', 0, 2n ** 64n - 1n), 'header_too_large'],
  ['N = 2^64 − 1 before data', rawFile('xyz', 0, 2n ** 64n - 1n), 'header_too_large'],
  [
    'an arbitrary N beyond 2^53 before a header',
    rawFile('{}', 0, 2n ** 60n + 12345n),
    'header_too_large',
  ],
  [
    'an arbitrary N beyond 2^53 before data',
    rawFile('\x01', 0, 2n ** 60n + 12345n),
    'not_safetensors',
  ],
  ['an arbitrary N beyond 2^53, alone', rawFile('', 0, 2n ** 60n + 12345n), 'header_too_large'],
  ['N one more than the file', rawFile('{}', 0, 3n), 'header_truncated'],
  // The header is no JSON
  ['an array for a header', rawFile('[{"dtype":"U8"}]'), 'header_not_json', 8],
  ['a string for a header', rawFile('"abc"'), 'header_not_json', 8],
  ['a space before the header', rawFile(' {}'), 'header_not_json', 8],
  ['a newline after the header', rawFile('{}\n'), 'header_not_json', 10],
  ['a tab after the header', rawFile('{} \t'), 'header_not_json', 11],
  ['a NUL after the header', rawFile('{}\0'), 'header_not_json', 10],
  ['a second object', rawFile('{}{}'), 'header_not_json', 10],
  ['a comma too many', rawFile(`{${u8('a', 0, 1)},}`, 1), 'header_not_json'],
  ['a comma first', rawFile('{,}'), 'header_not_json', 9],
  ['no comma', rawFile(`{${u8('a', 0, 1)} ${u8('b', 1, 2)}}`, 2), 'header_not_json'],
  ['no colon', rawFile('{"a" {}}'), 'header_not_json', 13],
  ['a key without quotes', rawFile('{a:1}'), 'header_not_json', 9],
  ['quotes of another kind', rawFile("{'a':1}"), 'header_not_json', 9],
  ['a comment', rawFile('{/**/}'), 'header_not_json', 9],
  ['an end before the brace', rawFile('{"a":{"dtype":"U8"  '), 'header_not_json'],
  ['an end inside a string', rawFile('{"a'), 'header_not_json'],
  ['a nested array', rawFile(shaped('[[1]]'), 1), 'header_not_json'],
  ['depth', rawFile(shaped('['.repeat(100_000)), 1), 'header_not_json'],
  ['an integer with a leading zero', rawFile(shaped('[01]'), 1), 'header_not_json'],
  ['a plus sign', rawFile(shaped('[+1]'), 1), 'header_not_json'],
  ['NaN', rawFile(shaped('[NaN]'), 1), 'header_not_json'],
  ['an unknown escape', rawFile('{"\\x41":1}'), 'header_not_json', 11],
  ['an escape without its digits', rawFile('{"\\u00g0":1}'), 'header_not_json'],
  ['a raw newline in a string', rawFile('{"a\n":1}'), 'header_not_json', 11],
  // UTF-8
  ['a byte order mark', rawFile('\ufeff{}'), 'header_not_utf8', 8],
  ['Latin-1', rawFile(bytes('{"', [0xe9], '":1}')), 'header_not_utf8'],
  ['an overlong form', rawFile(bytes('{"', [0xc0, 0xaf], '":1}')), 'header_not_utf8', 10],
  [
    'an overlong form of 3 bytes',
    rawFile(bytes('{"', [0xe0, 0x80, 0xaf], '":1}')),
    'header_not_utf8',
    11,
  ],
  [
    'an overlong form of 4 bytes',
    rawFile(bytes('{"', [0xf0, 0x80, 0x80, 0xaf], '":1}')),
    'header_not_utf8',
    11,
  ],
  ['a surrogate in UTF-8', rawFile(bytes('{"', [0xed, 0xa0, 0x80], '":1}')), 'header_not_utf8', 11],
  [
    'beyond U+10FFFF',
    rawFile(bytes('{"', [0xf4, 0x90, 0x80, 0x80], '":1}')),
    'header_not_utf8',
    11,
  ],
  ['a character cut short', rawFile(bytes('{"', [0xe2, 0x82], '":1}')), 'header_not_utf8', 12],
  ['no UTF-8 outside a string', rawFile(bytes('{', [0xff], '}')), 'header_not_utf8', 9],
  ['a high surrogate alone', rawFile('{"\\ud800":1}'), 'header_not_utf8'],
  ['a high surrogate before another escape', rawFile('{"\\ud800\\n":1}'), 'header_not_utf8'],
  ['two high surrogates', rawFile('{"\\ud800\\ud800":1}'), 'header_not_utf8'],
  ['a low surrogate alone', rawFile('{"\\udc00":1}'), 'header_not_utf8'],
  // Keys
  [
    'two tensors of the same name',
    rawFile(`{${u8('weight', 0, 1)},${u8('weight', 1, 2)}}`, 2),
    'duplicate_key',
    undefined,
    'weight',
  ],
  [
    'names the same after unescaping',
    rawFile(`{${u8('a', 0, 1)},"\\u0061":1}`, 2),
    'duplicate_key',
  ],
  ['two __metadata__', rawFile('{"__metadata__":{},"__metadata__":{}}'), 'duplicate_key'],
  [
    'two __metadata__, one escaped',
    rawFile('{"__metadata__":{},"\\u005f_metadata__":{}}'),
    'duplicate_key',
  ],
  ['a metadata key twice', rawFile('{"__metadata__":{"k":"1","k":"2"}}'), 'duplicate_key'],
  [
    'a metadata key __proto__ twice',
    rawFile('{"__metadata__":{"__proto__":"1","__proto__":"2"}}'),
    'duplicate_key',
  ],
  ['a key of an entry twice', rawFile(entry('{"dtype":"U8","dtype":"U8"}')), 'duplicate_key'],
  ['no name', rawFile(`{${u8('', 0, 1)}}`, 1), 'empty_name', 10],
  ['a name over 4 KiB', rawFile(`{${u8('n'.repeat(4097), 0, 1)}}`, 1), 'tensor_entry_invalid'],
  ['a name with a control character', rawFile('{"a\\u0000":1}'), 'tensor_entry_invalid'],
  ['a name with DEL', rawFile('{"a\u007f":1}'), 'tensor_entry_invalid'],
  ['a name with a C1 control', rawFile('{"a\u0085":1}'), 'tensor_entry_invalid'],
  ['a name with a C1 control, escaped', rawFile('{"a\\u009f":1}'), 'tensor_entry_invalid'],
  // Metadata
  ['metadata null', rawFile('{"__metadata__":null}'), 'metadata_not_strings', 24],
  ['metadata an array', rawFile('{"__metadata__":[]}'), 'metadata_not_strings', 24],
  ['a number in metadata', rawFile('{"__metadata__":{"epoch":3}}'), 'metadata_not_strings'],
  ['null in metadata', rawFile('{"__metadata__":{"epoch":null}}'), 'metadata_not_strings'],
  ['an object in metadata', rawFile('{"__metadata__":{"a":{}}}'), 'metadata_not_strings'],
  [
    'more than 65,536 metadata keys',
    rawFile(`{"__metadata__":{${Array.from({ length: 65_537 }, (_, i) => `"${i}":""`).join()}}}`),
    'header_too_large',
  ],
  [
    'more than 16 MiB of metadata',
    rawFile(`{"__metadata__":{"k":"${'x'.repeat(2 ** 24)}"}}`),
    'header_too_large',
  ],
])
