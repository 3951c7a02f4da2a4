import t from 'tap'
import {
  call,
  checkpoint,
  dict,
  FLOATS,
  global,
  GOOD,
  int,
  join,
  legacy,
  type LegacyFacts,
  list,
  little,
  pickle,
  records,
  storage,
  tensor,
  tensorOf,
  text,
  tuple,
  zip,
} from '../../bench/fuzz-pickle/assembler.ts'
import { converted, refused } from './converting.ts'

const WEIGHT = { dtype: 'F32', shape: [2, 3], hex: FLOATS.toString('hex') }

t.test('the format before 1.6 is read: five pickles, then the storages', async (t) => {
  const { format, weights } = converted(legacy())
  t.equal(format, 'torch_legacy')
  t.strictSame(weights, { weight: WEIGHT })
  const inThree = legacy()
  for (
    let at = inThree.indexOf('\x80\x02', 0, 'latin1');
    at !== -1;
    at = inThree.indexOf('\x80\x02', at + 1, 'latin1')
  )
    // prettier-ignore
    inThree[at + 1] = 3
  t.strictSame(converted(inThree).weights, { weight: WEIGHT }, 'protocol 3')
})

t.test('its storages lie in the order of the list of keys', async (t) => {
  const object = pickle(
    dict({ a: tensor({ key: '7' }), b: tensor({ key: '94', count: 2, shape: [2], strides: [1] }) }),
  )
  const two = Buffer.from(Float32Array.of(8, 9).buffer)
  const storages = [['94', 2, two], ['7', 6, FLOATS]] as const // prettier-ignore
  const { weights } = converted(legacy({ object, storages }))
  t.strictSame(weights['a'], WEIGHT)
  t.equal(weights['b']?.hex, two.toString('hex'))
})

t.test('its bytes are little-endian, whatever the writer’s system was', async (t) => {
  const system = pickle(dict({ little_endian: '\x89' }))
  t.strictSame(converted(legacy({ system })).weights, { weight: WEIGHT })
})

const LEGACY: Readonly<Record<string, [LegacyFacts, RegExp]>> = {
  'another magic number': [{ magic: pickle('\x8a\x0a', Buffer.alloc(10)) }, /^not_a_checkpoint: /],
  'another version': [{ version: pickle('M', little(1002, 2)) }, /^not_a_checkpoint: /],
  'no list of keys': [{ keys: pickle('}') }, /^damaged: its storages/],
  'a key that the pickle does not name': [{ storages: [['0', 6, FLOATS], ['1', 6, FLOATS]] }, /^damaged: its storages/], // prettier-ignore
  'a key too few': [{ storages: [] }, /^damaged: its storages/],
  'a key twice': [{ storages: [['0', 6, FLOATS], ['0', 6, FLOATS]] }, /^damaged: its storages/], // prettier-ignore
  'a key that is no text': [{ keys: pickle(list(int(0))) }, /^damaged: its storages/],
  'fewer elements than the pickle says': [{ storages: [['0', 4, FLOATS]] }, /^damaged: its storages/], // prettier-ignore
  'a negative count': [{ storages: [['0', -1, FLOATS]] }, /^damaged: its storages/],
  'fewer bytes than elements': [{ storages: [['0', 6, FLOATS.subarray(1)]] }, /^damaged: the file ends/], // prettier-ignore
  'no count': [{ storages: [], keys: pickle(list(text('0'))) }, /^damaged: the file ends/],
  'bytes behind': [{ behind: Buffer.from('\0') }, /^damaged: 1 bytes follow/],
  'a pickle behind': [{ behind: pickle('N') }, /^damaged: 4 bytes follow/],
  'a module’s source': [
    { object: pickle(tuple(text('module'), global('torch', 'Tensor'), text('a.py'), text('import os')), 'Q') },
    /^pickle: the object\+\d+ a persistent id is of a module/,
  ], // prettier-ignore
  'a view of a storage': [
    {
      object: pickle(
        dict({
          weight: call(
            'torch._utils',
            '_rebuild_tensor',
            join(tuple(text('storage'), global('torch', 'FloatStorage'), text('0'), text('cpu'), int(6), tuple(text('1'), int(0), int(3))), 'Q'),
            int(0),
            tuple(int(3)),
            tuple(int(1)),
          ),
        }),
      ),
    },
    /^pickle: the object\+\d+ a persistent id wants a storage that is no view/,
  ], // prettier-ignore
}

t.test('what isn’t as the legacy format has it is refused', async (t) => {
  for (const [what, [facts, wanted]] of Object.entries(LEGACY))
    t.match(refused(legacy(facts)), wanted, what)
  const good = legacy()
  for (let length = 16; length < good.length; length += 11)
    t.match(refused(good.subarray(0, length)), /^(?:pickle|damaged): /, `${length} bytes`)
})

t.test('each of its pickles has a memo of its own', async (t) => {
  const version = pickle('M', little(1001, 2), 'q\x00')
  t.match(
    refused(legacy({ version, object: pickle('h\x00') })),
    /^pickle: the object\+76 asks for the value 0/,
  )
})

t.test('an old persistent id has a sixth part, None', async (t) => {
  const id = tuple(
    text('storage'),
    global('torch', 'FloatStorage'),
    text('0'),
    text('cpu'),
    int(6),
    'N',
  )
  const rebuilt = call('torch._utils', '_rebuild_tensor', join(id, 'Q'), int(0), tuple(int(2), int(3)), tuple(int(3), int(1))) // prettier-ignore
  t.strictSame(converted(legacy({ object: pickle(dict({ weight: rebuilt })) })).weights, {
    weight: WEIGHT,
  })
})

t.test('nothing follows the pickle of an archive', async (t) => {
  for (const more of ['\0', '.', pickle('N')])
    t.match(
      refused(zip(records(join(pickle(dict({ weight: tensor() })), more)))),
      /^damaged: data.pkl has \d bytes behind its STOP/,
    )
})

t.test('the numbers of a big-endian archive are turned round', async (t) => {
  const types = {
    F64: 'Double',
    F32: 'Float',
    F16: 'Half',
    I64: 'Long',
    U8: 'Byte',
    BOOL: 'Bool',
    C64: 'ComplexFloat',
  }
  const names = Object.keys(types)
  const widths = [8, 4, 2, 8, 1, 1, 8]
  const object = Object.fromEntries(
    Object.entries(types).map(([name, type], i) => [
      name,
      tensor({ key: String(i), of: `${type}Storage`, count: 2, shape: [2], strides: [1] }),
    ]),
  )
  const storages = Object.fromEntries(
    widths.map((width, i) => [i, Buffer.from(Array.from({ length: 2 * width }, (_, at) => at))]),
  )
  const entries = records(pickle(dict(object)), storages).map((entry) =>
    entry.name === 'archive/byteorder' ? { ...entry, bytes: Buffer.from('big') } : entry,
  )
  const { weights } = converted(zip(entries))
  t.strictSame(Object.fromEntries(names.map((name) => [name, weights[name]?.hex])), {
    F64: '07060504030201000f0e0d0c0b0a0908',
    F32: '0302010007060504',
    F16: '01000302',
    I64: '07060504030201000f0e0d0c0b0a0908',
    U8: '0001',
    BOOL: '0001',
    // A complex number is two.
    C64: '03020100070605040b0a09080f0e0d0c',
  })
})

t.test('big-endian numbers in a storage of another type are read as others by torch', async (t) => {
  const bytes = Buffer.from([0, 1, 0, 2])
  const view = { shape: [2], strides: [1] }
  for (const weight of [
    tensorOf('uint16', { ...view, count: 4 }),
    tensorOf('uint16', { ...view, of: 'FloatStorage', count: 1 }),
  ]) {
    const entries = records(pickle(dict({ weight })), { 0: bytes })
    const big = entries.map((entry) =>
      entry.name === 'archive/byteorder' ? { ...entry, bytes: Buffer.from('big') } : entry,
    )
    t.equal(refused(zip(big)), 'tensor: "weight" is big-endian, in a storage of another type')
    t.equal(converted(zip(entries)).weights['weight']?.hex, '00010002')
  }
})

t.test('an 8-byte record is no 16-byte storage: torch would show what was in memory', async (t) => {
  const object = dict({
    secret: tensor({ of: 'DoubleStorage', count: 2, shape: [2], strides: [1] }),
  })
  t.match(
    refused(checkpoint(object, { 0: Buffer.alloc(8) })),
    /^damaged: the storage 0 has 8 bytes in the archive and 16/,
  )
})

t.test('a storage has one description', async (t) => {
  const object = dict({ a: tensor(), b: tensor({ count: 3, shape: [3], strides: [1] }) })
  t.match(refused(checkpoint(object)), /^pickle: .*describes the storage "0" in two ways/)
  const types = dict({ a: tensor(), b: tensor({ of: 'IntStorage' }) })
  t.match(refused(checkpoint(types)), /^pickle: .*describes the storage "0" in two ways/)
})

t.test('a pickle has a limit', async (t) => {
  t.match(
    refused(GOOD, { limits: { maxPickleBytes: 100 } }),
    /^limit: data.pkl has \d+ bytes; at most 100/,
  )
  const object = pickle(dict({ weight: tensor(), long: text('x'.repeat(5000)) }))
  t.match(
    refused(legacy({ object }), { limits: { maxPickleBytes: 4096 } }),
    /^limit: its pickles have more than 4096 bytes/,
  )
  t.equal(converted(legacy(), { limits: { maxPickleBytes: 4096 } }).tensors, 1)
})

t.test('storages that belong to nothing in the weights are checked too', async (t) => {
  const file = checkpoint(dict({ model: dict({ a: tensor() }), x: storage({ key: '1' }) }), {
    0: FLOATS,
    1: FLOATS,
  })
  t.equal(converted(file).tensors, 1)
  const at = file.indexOf(FLOATS, file.indexOf('archive/data/1'))
  file.writeUInt8(1, at)
  t.match(refused(file), /^damaged: the storage 1 is not what its CRC-32 says/)
})
