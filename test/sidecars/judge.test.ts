import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import { sidecarForm } from '../../src/sidecars/forms.ts'
import { pickles, zip } from '../attacks/pickles.ts'
import { judged, latin1, sentencepieceModel } from './fixture.ts'

t.test('a name says what a file holds, case and all', async (t) => {
  for (const [path, form] of [
    ['config.json', 'json'],
    ['a/b/tokenizer.json', 'json'],
    ['pytorch_model.bin.index.json', 'json'],
    ['vocab.txt', 'text'],
    ['README', 'text'],
    ['docs/README.md', 'text'],
    ['LICENSE', 'text'],
    ['.gitattributes', 'text'],
    ['tokenizer.model', 'tokenizer'],
    ['text/spiece.model', 'sentencepiece'],
    ['source.spm', 'sentencepiece'],
    ['qwen.tiktoken', 'tiktoken'],
  ] as const)
    t.equal(sidecarForm(path), form, path)
  for (const path of [
    ...['model.safetensors', 'config.json.safetensors', 'a.SAFETENSORS', 'modeling.py', 'run.sh'],
    ...['pytorch_model.bin', 'model.pkl', 'model.pt', 'a.zip', 'a.onnx', 'a.npy', 'other.model'],
    ...['config.JSON', 'readme', 'json', '.json', 'a.json/b', 'a.txt.exe', 'a.json ', 'photo.png'],
  ])
    t.equal(sidecarForm(path), undefined, path)
})

const GOOD: readonly (readonly [string, Uint8Array])[] = [
  ['config.json', latin1('{"model_type": "bert", "layers": [1, 2.5e3, null]}\n')],
  ['vocab.json', Buffer.from(JSON.stringify({ '▁the': 0, '🙂': 1 }))],
  ['README.md', Buffer.from('---\nlicense: mit\n---\n# A model\n<script>alert(1)</script>\n')],
  ['index.txt', latin1('<!doctype html><html><script>alert(1)</script></html>')],
  ['list.md', latin1('[a link](https://example.com)\n')],
  ['rows.jsonl', latin1('{"a": 1}\n{"a": 2}\n')],
  ['merges.txt', latin1('#version: 0.2\ni n\nt h\n')],
  ['tokenizer.model', sentencepieceModel()],
  ['tokenizer.model', latin1('IQ== 0\nIg== 1\n')],
  ['spiece.model', sentencepieceModel()],
  ['qwen.tiktoken', latin1('IQ== 0\n')],
]
t.test('a file that is what its name says is taken, however it is cut', async (t) => {
  for (const [path, file] of GOOD)
    for (const length of [1, 511, 512, 513, 1 << 20])
      t.equal(judged(path, file, [length]), 'good', path)
})

const fixture = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/other-formats/${name}`, import.meta.url))
const valid = Buffer.from(
  writeSafetensors([{ name: 'w', dtype: 'U8', shape: [2000], bytes: Buffer.alloc(2000, 'a') }]),
)
const tarOfText = (): Buffer => {
  const header = Buffer.alloc(512, ' ')
  header.write('a'.repeat(100))
  header.write('ustar', 257)
  return header
}
const lfs = latin1('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n')

const NAMES = [
  'README.md',
  'config.json',
  'vocab.txt',
  'tokenizer.model',
  'spiece.model',
  'a.tiktoken',
]
const FOREIGN: readonly (readonly [string, Uint8Array, string | undefined])[] = [
  ...pickles('true').map((pickle, i) => [`a pickle of protocol ${i}`, pickle, 'pickle'] as const),
  ['a hostile pickle', fixture('hostile.pkl'), 'pickle'],
  ['torch.save', fixture('state-dict.pt'), 'torch_zip'],
  ['an early torch.save', fixture('state-dict-legacy.pt'), 'torch_legacy'],
  ['numpy.savez', fixture('arrays.npz'), 'npz'],
  ['ONNX', fixture('model.onnx'), 'onnx'],
  ['GGUF', fixture('model.gguf'), 'gguf'],
  ['HDF5', fixture('weights.h5'), 'hdf5'],
  ['a ZIP', zip('a.txt', latin1('text')), 'zip'],
  ['gzip', gzipSync('text'), 'gzip'],
  ['ELF', latin1('\x7fELF\x02\x01\x01\0\0\0\0\0'), 'elf'],
  ['a tar of text', tarOfText(), 'tar'],
  ['what Git LFS leaves', lfs, 'git_lfs_pointer'],
  ['nothing', Buffer.alloc(0), 'empty'],
  ['safetensors', valid, 'unknown'],
  ['UTF-16', Buffer.from('\ufeff{"a": 1}', 'utf16le'), undefined],
  ['a NUL', latin1('\0'), undefined],
]
t.test('another format is refused under every name, and told where it is known', async (t) => {
  for (const path of NAMES)
    for (const [what, file, looksLike] of FOREIGN) {
      const verdict = judged(path, file)
      t.match(
        verdict,
        looksLike === undefined ? { message: /./ } : { looksLike },
        `${what} as ${path}`,
      )
      t.strictSame(judged(path, file, [1]), verdict, 'however it is cut')
    }
})

t.test('the refusal says what the file should be, and where it is not', async (t) => {
  t.match(judged('config.json', latin1('{"a": 1,}')), {
    message: 'the file should be JSON (RFC 8259): a key is expected, at byte 8',
    looksLike: 'json',
    offset: 8,
  })
  const late = Buffer.concat([Buffer.alloc(3_000_000, 'text '), latin1('\0')])
  t.match(judged('vocab.txt', late, [65_536]), { offset: 3_000_000, looksLike: 'unknown' })
  t.match(judged('vocab.txt', zip('a', late)), { looksLike: 'zip' })
})

t.test(
  'a pickle behind harmless opcodes, and one behind another, is refused in text',
  async (t) => {
    for (const text of [`${'N0'.repeat(10_000)}cos\nsystem\n)R.`, 'N.cos\nsystem\n)R.'])
      t.match(judged('README.md', latin1(text), [4096]), { looksLike: 'pickle' })
  },
)
