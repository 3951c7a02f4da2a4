import { gzipSync } from 'node:zlib'
import t from 'tap'
import type { LooksLike } from '../../src/safetensors/safetensors-error.ts'
import { looksLike } from '../../src/safetensors/sniff.ts'
import { rawFile } from '../../bench/fuzz-safetensors/raw-file.ts'
import { verdictOf } from './verdicts.ts'

const bytes = (...parts: (string | number[])[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? latin1(part) : Buffer.from(part))))
const latin1 = (text: string) => Buffer.from(text, 'latin1')

/** A ZIP's first local header, stored, of no size, and some data. */
function zip(name: string): Buffer {
  const header = Buffer.alloc(30)
  header.write('PK\x03\x04')
  header.writeUInt16LE(name.length, 26)
  return Buffer.concat([header, latin1(name), Buffer.alloc(64)])
}

/** A tar header; before POSIX it had no magic. */
function tar(name: string, magic: string): Buffer {
  const header = Buffer.alloc(1024)
  header.write(name)
  header.write('0000644\0', 100)
  header.write('00000000017\0', 124)
  header.write('        ', 148)
  header.write(magic, 257)
  const sum = header.subarray(0, 512).reduce((a, b) => a + b, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}

const TORCH_LEGACY = [
  0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e,
]

const FILES: readonly (readonly [string, LooksLike, Uint8Array])[] = [
  ['a file of no bytes', 'empty', bytes()],
  ['a pickle of protocol 0', 'pickle', bytes("(dp0\nS'a'\np1\nI1\ns.")],
  ['a list of protocol 0', 'pickle', bytes('(lp0\nI1\na.')],
  ['a call of protocol 0', 'pickle', bytes("cos\nsystem\n(S'true'\ntR.")],
  ['a call of protocol 0, marked', 'pickle', bytes("(cos\nsystem\nS'true'\no.")],
  ['an instance of protocol 0', 'pickle', bytes("(S'true'\nios\nsystem\n.")],
  ['builtins of Python 2', 'pickle', bytes('c__builtin__\neval\n(V1+1\ntR.')],
  ['a string of protocol 0', 'pickle', bytes("S'weights'\np0\n.")],
  ['a text of protocol 0', 'pickle', bytes('Vweights\np0\n.')],
  ['an integer of protocol 0', 'pickle', bytes('I12345678\n.')],
  ['a dict of protocol 1', 'pickle', bytes('}q\0(U\x01aq\x01K\x01u.')],
  ['a dict of protocol 2', 'pickle', bytes([0x80, 2], '}q\0X\x01\0\0\0aq\x01K\x01s.')],
  [
    'a call of protocol 2',
    'pickle',
    bytes([0x80, 2], 'cposix\nsystem\nq\0X\x04\0\0\0trueq\x01\x85q\x02Rq\x03.'),
  ],
  ['None of protocol 3', 'pickle', bytes([0x80, 3], 'N.')],
  [
    'a frame of protocol 4',
    'pickle',
    bytes([0x80, 4, 0x95, 10, 0, 0, 0, 0, 0, 0, 0], '}\x94\x8c\x01a\x94K\x01s.'),
  ],
  ['a frame of protocol 5', 'pickle', bytes([0x80, 5, 0x95, 2, 0, 0, 0, 0, 0, 0, 0], 'K\x01.')],
  ['an early torch.save', 'torch_legacy', bytes(TORCH_LEGACY, [0x80, 2, 0x4d, 0xe9, 3, 0x2e])],
  ['torch.save', 'torch_zip', zip('archive/data.pkl')],
  ['torch.save of a folder with a space', 'torch_zip', zip('my model.v1/data.pkl')],
  ['torch.save by its version', 'torch_zip', zip('archive/version')],
  ['torch.save by its byte order', 'torch_zip', zip('archive/byteorder')],
  ['torch.save by its serialization id', 'torch_zip', zip('archive/.data/serialization_id')],
  ['numpy.savez', 'npz', zip('weights.npy')],
  ['a ZIP', 'zip', zip('README.md')],
  ['an empty ZIP', 'zip', bytes('PK\x05\x06', Array<number>(18).fill(0))],
  ['a ZIP cut short', 'zip', zip('archive/data.pkl').subarray(0, 20)],
  ['GGUF', 'gguf', bytes('GGUF', [3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])],
  ['HDF5', 'hdf5', bytes([0x89], 'HDF\r\n', [0x1a], '\n', [0, 0, 0, 0])],
  ['ONNX', 'onnx', bytes([8, 7, 0x12, 7], 'pytorch', [0x1a, 3], '2.0')],
  ['gzip', 'gzip', gzipSync('weights')],
  ['7z', '7z', bytes('7z', [0xbc, 0xaf, 0x27, 0x1c, 0, 4, 0, 0])],
  ['a tar', 'tar', tar('model.safetensors', 'ustar\x0000')],
  ['a tar of GNU', 'tar', tar('model.safetensors', 'ustar  \0')],
  ['a tar before POSIX', 'tar', tar('model.safetensors', '')],
  ['a tar whose name makes a plausible length', 'tar', tar('a', 'ustar\x0000')],
  ['ELF', 'elf', bytes([0x7f], 'ELF', [2, 1, 1, 0, 0, 0, 0, 0])],
  ['a web page', 'html', bytes('<!DOCTYPE html>\n<html>')],
  ['a web page after white space', 'html', bytes('\n\n             <HTML lang="en">')],
  ['XML', 'html', bytes('<?xml version="1.0"?>')],
  [
    'a Git LFS pointer',
    'git_lfs_pointer',
    bytes('version https://git-lfs.github.com/spec/v1\noid sha256:00\n'),
  ],
  ['JSON', 'json', bytes('{"model_type": "bert"}')],
  ['JSON, indented', 'json', bytes('{\n                  "model_type": "bert"}')],
  ['a JSON array', 'json', bytes('[1, 2, 3, 4]')],
  ['an empty JSON object', 'json', bytes('{}')],
  ['JSON after a byte order mark', 'json', bytes([0xef, 0xbb, 0xbf], '{"model_type": "bert"}')],
  [
    'prose',
    'unknown',
    bytes(
      'This is no checkpoint at all, only prose that goes on for longer than a tar name could be.',
    ),
  ],
  ['an SQLite database', 'unknown', bytes('SQLite format 3', [0])],
  ['noise', 'unknown', bytes([0xf3, 0x91, 0x07, 0xbb, 0x42, 0x99, 0xc1, 0xd8, 0x13, 0x37])],
]
for (const [title, expected, file] of FILES)
  t.test(`${title} looks like ${expected}`, async (t) => {
    t.equal(looksLike(file), expected)
    t.match(verdictOf([file]), { reason: 'not_safetensors', looksLike: expected, offset: 0 })
    t.match(verdictOf([file], { fileBytes: file.length }), { reason: 'not_safetensors' })
  })

t.test('a length that is also a magic is a length when a header follows', async (t) => {
  for (const magic of [
    [0x1f, 0x8b, 8, 0],
    [0x80, 2, 0x28, 0],
    [8, 7, 0x12, 0],
    [0x61, 0, 0, 0],
  ]) {
    const length = Buffer.from(magic).readUInt32LE()
    const file = rawFile(`{}${' '.repeat(length - 2)}`)
    t.match(verdictOf([file]), { headerBytes: length })
    t.match(verdictOf([file.subarray(0, 20)]), { reason: 'header_truncated' })
    t.match(verdictOf([file.subarray(0, 20)], { fileBytes: 20 }), { reason: 'header_truncated' })
  }
})

t.test('a length too large is refused at its eighth byte', async (t) => {
  for (const length of [100_000_001n, 10n ** 12n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
    const file = rawFile('', 0, length)
    t.match(verdictOf([file, new Uint8Array(9)]), { reason: 'header_too_large' })
  }
})

t.test('what is refused early needs no more than 512 bytes', async (t) => {
  const endless = (function* () {
    for (let i = 0; i < 512; i += 1) yield latin1('a')
    t.fail('more than 512 bytes were asked for')
    yield latin1('a')
  })()
  t.match(verdictOf(endless), { reason: 'not_safetensors', looksLike: 'unknown' })
})
