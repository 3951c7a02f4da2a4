import t from 'tap'
import { ConversionRefused } from '../../src/pickle/refused.ts'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import {
  call,
  checkpoint,
  dict,
  FLOATS,
  get,
  global,
  GOOD,
  int,
  join,
  legacy,
  list,
  pickle,
  put,
  records,
  storage,
  tensor,
  tensorOf,
  text,
  tuple,
  zip,
} from '../../bench/fuzz-pickle/assembler.ts'
import { converted, refused } from './converting.ts'

t.test('tensors are written in order, aligned, and are those of the checkpoint', async (t) => {
  const object = dict({
    bytes: tensor({ key: '2', of: 'ByteStorage', count: 3, shape: [3], strides: [1] }),
    'a.bias': tensor({ key: '1', count: 1, shape: [], strides: [] }),
    'a.weight': tensor({ shape: [3, 2], strides: [1, 3] }),
    epoch: int(7),
  })
  const one = Buffer.from(Float32Array.of(9).buffer)
  const found = converted(checkpoint(object, { 0: FLOATS, 1: one, 2: Buffer.of(1, 2, 3) }))
  t.strictSame(Object.entries(found.weights), [
    ['a.bias', { dtype: 'F32', shape: [], hex: one.toString('hex') }],
    ['a.weight', { dtype: 'F32', shape: [3, 2], hex: Buffer.from(Float32Array.of(1, 4, 2, 5, 3, 6).buffer).toString('hex') }],
    ['bytes', { dtype: 'U8', shape: [3], hex: '010203' }],
  ]) // prettier-ignore
  t.strictSame(found.metadata, { epoch: '7', format: 'pt' })
  t.strictSame([found.tensors, found.dataBytes], [3, 31])
})

t.test('partly overlapping and expanded views are written out', async (t) => {
  const object = dict({
    first: tensor({ shape: [4], strides: [1] }),
    last: tensor({ offset: 2, shape: [4], strides: [1] }),
    wide: tensor({ offset: 5, shape: [2, 3], strides: [0, 0] }),
  })
  const { weights, tied } = converted(checkpoint(object))
  t.strictSame(tied, {})
  t.equal(weights['last']?.hex, FLOATS.subarray(8, 24).toString('hex'))
  t.equal(weights['wide']?.hex, FLOATS.subarray(20, 24).toString('hex').repeat(6))
})

t.test('numbers that are not the bytes’ own are refused', async (t) => {
  // torch.save of a conjugate view: the bytes of the tensor that it is the conjugate of.
  const view = [int(0), tuple(int(3)), tuple(int(1)), '\x89', call('collections', 'OrderedDict')]
  const complex = storage({ of: 'ComplexFloatStorage', count: 3 })
  const conjugate = call('torch._utils', '_rebuild_tensor_v2', complex, ...view, dict({ conj: '\x88' })) // prettier-ignore
  t.equal(
    refused(checkpoint(dict({ w: conjugate }))),
    'tensor: "w" is a conjugate or a negative of other bytes, which safetensors does not have',
  )
})

t.test('a size is what it was when it was made', async (t) => {
  const view = [int(0), get(1), tuple(int(1))]
  const object = dict({
    grows: put(0, list(int(2))),
    size: put(1, call('torch', 'Size', get(0))),
    grown: join(get(0), int(3), 'a'),
    w: call('torch._utils', '_rebuild_tensor', storage(), ...view),
  })
  t.strictSame(converted(checkpoint(object)).weights['w']?.shape, [2])
})

t.test('a key that leads out of the archive’s folder is none', async (t) => {
  t.match(
    refused(checkpoint(dict({ w: tensor({ key: '../0' }) }))),
    /^pickle: .* a persistent id has a key that is no number, "\.\.\/0"/,
  )
})

t.test('a few bytes that stand for billions of tensors are refused', async (t) => {
  const laughs = Array.from({ length: 60 }, (_, i) => i).reduce<Buffer>(
    (inner, i) => list(put(i, inner), get(i)),
    list(tensor(), tensor()),
  )
  const limits = { maxVisits: 50_000 }
  t.match(refused(checkpoint(dict({ w: laughs })), { limits }), /^limit: it leads to more than/)
  t.match(refused(legacy({ object: pickle(dict({ w: laughs })) }), { limits }), /^limit: /)
})

t.test('weights that are an archive of tar as well are none', async (t) => {
  // Which torch.load would then run the pickle of: a header of tar is one by its checksum, in a tensor's name here.
  const made = (sum: string): Buffer =>
    Buffer.from(
      writeSafetensors(
        [{ name: 'n'.repeat(120) + sum + 'n'.repeat(500), dtype: 'F32', shape: [6], bytes: FLOATS }], // prettier-ignore
        {},
      ),
    )
  const sum = made(' '.repeat(8)).subarray(0, 512).reduce((total, byte) => total + byte, 0) // prettier-ignore
  t.match(refused(made(`${sum.toString(8).padStart(6, '0')}  `)), /^not_a_checkpoint: .*like tar/)
  t.equal(converted(made('000000  ')).format, 'safetensors')
})

t.test('an expanded tensor can’t be made of what isn’t there', async (t) => {
  for (const shape of [
    [2 ** 28],
    [2 ** 31 - 1, 2 ** 31 - 1],
    [2n ** 62n],
    Array.from({ length: 64 }, () => 2),
  ])
    // prettier-ignore
    t.match(
      refused(checkpoint(dict({ bomb: tensor({ shape, strides: shape.map(() => 0) }) }))),
      /^(?:limit: its tensors would be|tensor: .*larger than any file)/,
    )
  const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`t${i}`, tensor({ shape: [2 ** 20 + i], strides: [0] })])) // prettier-ignore
  t.match(refused(checkpoint(dict(many))), /^limit: /)
})

t.test('names that safetensors can’t hold are refused before anything is written', async (t) => {
  const bad = [
    '',
    '__metadata__',
    'a\nb',
    'a\u0000',
    'a\u0085b',
    'n'.repeat(4097),
    'ж'.repeat(2049),
  ]
  for (const name of bad)
    t.match(refused(checkpoint(dict({ [name]: tensor(), ok: tensor({ shape: [6], strides: [1] }) }))), /^tensor: safetensors can’t hold it/, JSON.stringify(name.slice(0, 20))) // prettier-ignore
  t.equal(converted(checkpoint(dict({ ['n'.repeat(4096)]: tensor() }))).tensors, 1)
  const scalars = Object.fromEntries(Array.from({ length: 65_536 }, (_, i) => [`s${i}`, '\x88'])) // prettier-ignore
  t.match(
    refused(checkpoint(dict({ w: tensor(), ...scalars }))),
    /^tensor: safetensors can’t hold it: .*65536 keys/,
  )
})

t.test('shapes that PyTorch has and safetensors has not are refused', async (t) => {
  const shape = [0, 2n ** 30n, 2n ** 30n]
  t.match(refused(checkpoint(dict({ w: tensor({ shape, strides: [1, 1, 1] }) }))), /^tensor: safetensors can’t hold it/) // prettier-ignore
})

t.test('a file of safetensors stays as it is, if it is valid', async (t) => {
  const file = writeSafetensors([{ name: 'w', dtype: 'F32', shape: [6], bytes: FLOATS }], {
    a: 'b',
  })
  const { format, tensors, dataBytes, ...found } = converted(file)
  t.strictSame([format, tensors, dataBytes], ['safetensors', 1, 24])
  t.strictSame(found.file, Buffer.from(file))
  t.match(refused(file.subarray(0, -1)), /^damaged: it begins as safetensors does, but/)
  t.match(refused(join(file, '\0')), /^damaged: it begins as safetensors does, but/)
  t.match(refused(join('\x08\0\0\0\0\0\0\0{')), /^damaged: /)
})

const FORMATS: Readonly<Record<string, [string, RegExp]>> = {
  nothing: ['', /it is empty/],
  'a ZIP of something else': ['PK\x03\x04' + '\0'.repeat(26), /looks like zip/],
  GGUF: ['GGUF\x03\0\0\0', /looks like gguf/],
  HDF5: ['\x89HDF\r\n\x1a\n', /looks like hdf5/],
  gzip: ['\x1f\x8b\x08', /looks like gzip/],
  '7z': ['7z\xbc\xaf\x27\x1c', /looks like 7z/],
  'a page': ['<!DOCTYPE html><html>', /looks like html/],
  'a pointer of Git LFS': ['version https://git-lfs.github.com/spec/v1\noid sha256:', /looks like git_lfs_pointer/], // prettier-ignore
  'a pickle': ['\x80\x02}q\x00.', /looks like pickle/],
  'an old pickle': ["cos\nsystem\n(S'echo hello'\ntR.", /looks like pickle/],
  noise: ['\x01\x02\x03'.repeat(99), /of no format that is known/],
}

t.test('other formats are refused by name', async (t) => {
  for (const [what, [bytes, wanted]] of Object.entries(FORMATS)) {
    const found = refused(join(bytes))
    t.match(found, /^not_a_checkpoint: it is no checkpoint of torch.save/, what)
    t.match(found, wanted, what)
  }
  const tar = Buffer.alloc(1024)
  tar.write('pickle')
  tar.write('0000644\0', 100)
  tar.write('00000000000\0', 124)
  tar.write('ustar\x0000', 257)
  tar.write(' '.repeat(8), 148)
  const sum = tar.reduce((total, byte) => total + byte, 0)
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  t.match(refused(tar), /^not_a_checkpoint: .*looks like tar/, 'torch before 0.2')
})

t.test('what would run is named with its place, and isn’t run', async (t) => {
  const attack = dict({ weight: tensor(), Ω: call('os', 'system', text('echo hello')) })
  t.match(refused(checkpoint(attack)), /^pickle: os\.system at data\.pkl\+\d+ under "Ω"$/)
  t.match(refused(legacy({ object: pickle(attack) })), /^pickle: os\.system at the object\+\d/)
  t.match(
    refused(legacy({ system: pickle(call('os', 'system', text('echo hello'))) })),
    /^pickle: os\.system at the writer’s system\+/,
  )
  t.match(
    refused(legacy({ keys: pickle(call('os', 'system', text('echo hello'))) })),
    /^pickle: os\.system at the list of keys\+/,
  )
})

t.test('text of the file can’t write over a terminal, or fill it', async (t) => {
  const odd = refused(
    checkpoint(dict({ 'a\u202e\u001b[2J': global('x\u001b[31m', 'y\u202e\u200b') })),
  )
  t.equal(
    odd,
    'pickle: x\\u{1b}[31m.y\\u{202e}\\u{200b} at data.pkl+17 under "a\\u{202e}\\u001b[2J"',
  )
  const long = refused(checkpoint(dict({ w: global('m'.repeat(2 ** 20 - 1), 'n') })))
  t.match(long, /^pickle: m{200} at data\.pkl\+/)
  t.ok(new ConversionRefused('limit', 'x'.repeat(1e6)).message.length <= 4096)
})

t.test(
  'objects of unknown classes are left out on request, and only outside of the weights',
  async (t) => {
    const args = call('argparse', 'Namespace', text('x'))
    const object = dict({ state_dict: dict({ w: tensor() }), args, more: list(args) })
    t.match(refused(checkpoint(object)), /^pickle: argparse\.Namespace at data\.pkl/)
    const { opaque, dropped, weights } = converted(checkpoint(object), { isOpaqueAllowed: true })
    t.strictSame(opaque, ['argparse.Namespace'])
    t.strictSame(dropped, ['args', 'more'])
    t.strictSame(Object.keys(weights), ['w'])
    const inside = dict({ state_dict: dict({ w: tensor(), args }) })
    t.match(refused(checkpoint(inside), { isOpaqueAllowed: true }), /^pickle: "args", among the weights, is of the class/) // prettier-ignore
  },
)

t.test('numbers of types without a class are read from bytes', async (t) => {
  const bytes = Buffer.from('00ff01fe02fd03fc', 'hex')
  const types = { uint16: ['U16', 2], uint32: ['U32', 4], uint64: ['U64', 8], float8_e4m3fn: ['F8_E4M3', 1], float8_e5m2: ['F8_E5M2', 1], float8_e4m3fnuz: ['F8_E4M3FNUZ', 1], float8_e5m2fnuz: ['F8_E5M2FNUZ', 1], float8_e8m0fnu: ['F8_E8M0', 1], bfloat16: ['BF16', 2] } as const // prettier-ignore
  for (const [dtype, [wanted, width]] of Object.entries(types)) {
    const object = dict({ w: tensorOf(dtype, { count: 8, shape: [8 / width], strides: [1] }) })
    t.strictSame(
      converted(checkpoint(object, { 0: bytes })).weights['w'],
      { dtype: wanted, shape: [8 / width], hex: bytes.toString('hex') },
      dtype,
    )
  }
})

t.test('a wrong byte in a storage is found whatever is made of it', async (t) => {
  const file = Buffer.from(GOOD)
  const at = file.indexOf(FLOATS)
  file.writeUInt8((file[at] ?? 0) ^ 1, at)
  t.equal(refused(file), 'damaged: the storage 0 is not what its CRC-32 says')
})

t.test('storages larger than what is read at once are whole', async (t) => {
  const count = 5_000_000
  const numbers = Buffer.from(Float32Array.from({ length: count }, (_, i) => i).buffer)
  const object = dict({
    whole: tensor({ count, shape: [count], strides: [1] }),
    turned: tensor({ count, shape: [2000, 2500], strides: [1, 2000] }),
  })
  const { file } = converted(zip(records(pickle(object), { 0: numbers })))
  t.ok(file.subarray(-numbers.length).equals(numbers), 'the last one is `whole`')
  const turned = file.subarray(-2 * numbers.length, -numbers.length)
  t.equal(turned.readFloatLE(4 * 2500 * 7 + 4 * 11), 11 * 2000 + 7)
})
