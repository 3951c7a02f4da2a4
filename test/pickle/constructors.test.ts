import t from 'tap'
import {
  construct,
  globalValue,
  storageClass,
  storageOf,
  Unfit,
} from '../../src/pickle/constructors.ts'
import { isKind, type Value } from '../../src/pickle/values.ts'

const list = (...items: Value[]): Value => ({ kind: 'list', items })
const tuple = (...items: Value[]): Value => ({ kind: 'tuple', items })
const dict = (...entries: [Value, Value][]): Value => ({ kind: 'dict', entries: new Map(entries) })
const ordered = (...entries: [Value, Value][]): Value => ({
  kind: 'dict',
  entries: new Map(entries),
  hasAttributes: true,
})
const global = (module: string, name: string): Value => ({ kind: 'global', module, name })
const dtype = (name: string): Value => globalValue('torch', name) ?? null

const FLOATS: Value = { kind: 'storage', key: '0', dtype: 'float32', count: 6n }
const BYTES: Value = { kind: 'storage', key: '0', dtype: undefined, count: 24n }

function isUnfit(act: () => unknown): boolean {
  try {
    act()
  } catch (error) {
    return error instanceof Unfit
  }
  return false
}

const REBUILD = 'torch._utils._rebuild_'

t.test('what is known is built as data', async (t) => {
  t.strictSame(construct('collections.OrderedDict', []), ordered())
  t.strictSame(
    construct('collections.OrderedDict', [list(tuple('a', 1n), list('b', null))]),
    ordered(['a', 1n], ['b', null]),
  )
  t.strictSame(construct('collections.Counter', []), dict())
  t.strictSame(construct('collections.Counter', [dict(['a', 2n])]), dict(['a', 2n]))
  t.strictSame(construct('torch.Size', [tuple(2n, 3n)]), tuple(2n, 3n))
  t.strictSame(construct('torch.device', ['cpu']), { kind: 'aside', what: 'a device' })
  t.strictSame(construct('_codecs.encode', ['\x00ÿ', 'latin1']), Buffer.of(0, 255))
  for (const builtins of ['builtins', '__builtin__']) {
    t.strictSame(construct(`${builtins}.bytearray`, []), new Uint8Array())
    t.strictSame(construct(`${builtins}.bytearray`, [Buffer.of(1)]), Buffer.of(1))
    t.strictSame(construct(`${builtins}.bytearray`, ['\x00ÿ', 'latin-1']), Buffer.of(0, 255))
    t.strictSame(construct(`${builtins}.set`, [list(1n)]), { kind: 'set', items: [1n] })
    t.match(construct(`${builtins}.complex`, [1, 2]), { kind: 'aside' })
  }
})

t.test('tensors are built as views, whatever rebuilt them', async (t) => {
  const wanted = { kind: 'tensor', storage: FLOATS, dtype: 'float32', offset: 1n, shape: [2n], strides: [3n] } // prettier-ignore
  const view = [FLOATS, 1n, tuple(2n), tuple(3n)]
  const built = construct(`${REBUILD}tensor`, view)
  t.strictSame(built, wanted)
  t.strictSame(construct(`${REBUILD}tensor_v2`, [...view, false, dict(), dict()]), wanted)
  t.strictSame(
    construct(`${REBUILD}tensor_v3`, [
      BYTES,
      1n,
      tuple(2n),
      tuple(3n),
      false,
      dict(),
      dtype('uint16'),
    ]),
    { ...wanted, storage: BYTES, dtype: 'uint16' },
  )
  t.equal(construct(`${REBUILD}parameter`, [built ?? null, true, dict()]), built)
  for (const attributes of [dict(), dict(['partition', 1n]), tuple(dict(), dict(['slot', 1n])), null])
    t.equal(construct(`${REBUILD}parameter_with_state`, [built ?? null, true, dict(), attributes]), built) // prettier-ignore
  for (const [module, type] of [
    ['torch', 'Tensor'],
    ['torch.nn.parameter', 'Parameter'],
  ] as const)
    // prettier-ignore
    t.strictSame(
      construct('torch._tensor._rebuild_from_type_v2', [global('torch._utils', '_rebuild_tensor'), global(module, type), tuple(...view), dict()]), // prettier-ignore
      wanted,
    )
})

t.test('tensors of kinds without a file format are recognised', async (t) => {
  for (const name of [
    'qtensor',
    'sparse_tensor',
    'sparse_csr_tensor',
    'nested_tensor',
    'meta_tensor_no_storage',
    'wrapper_subclass',
    'device_tensor_from_numpy',
    'device_tensor_from_cpu_tensor',
  ])
    // prettier-ignore
    t.match(construct(`${REBUILD}${name}`, []), { kind: 'refused' }, name)
  const subclass = [global('torch._utils', '_rebuild_tensor_v2'), { kind: 'opaque', global: { module: 'a', name: 'B' }, offset: 0 }, tuple(), dict()] as const // prettier-ignore
  t.match(construct('torch._tensor._rebuild_from_type_v2', subclass), { kind: 'refused' })
  const sparse = construct(`${REBUILD}sparse_tensor`, []) ?? null
  t.equal(
    construct(`${REBUILD}parameter`, [sparse, true, dict()]),
    sparse,
    'a parameter of one is one',
  )
})

t.test(
  'numbers that are the conjugate or the negative of those in the file are told',
  async (t) => {
    const view = [FLOATS, 0n, tuple(2n), tuple(1n), false, dict()]
    const rebuilt = (signs: Value): Value | undefined =>
      construct(`${REBUILD}tensor_v2`, [...view, signs])
    for (const sign of ['conj', 'neg'])
      t.match(rebuilt(dict([sign, true])), { kind: 'refused', what: /conjugate or a negative/ })
    t.match(construct(`${REBUILD}tensor_v3`, [...view, dtype('complex64'), dict(['conj', true])]), {
      kind: 'refused',
    })
    for (const signs of [null, dict(), dict(['conj', false])])
      t.match(rebuilt(signs), { kind: 'tensor' })
  },
)

t.test('a size is what it was made of, whatever becomes of that', async (t) => {
  const items: Value[] = [2n]
  const size = construct('torch.Size', [{ kind: 'list', items }])
  const set = construct('builtins.set', [{ kind: 'list', items }])
  items.push(3n)
  t.strictSame(size, tuple(2n))
  t.strictSame(set, { kind: 'set', items: [2n] })
})

const VIEW = [FLOATS, 0n, tuple(2n), tuple(1n)]
const TENSOR: Value = { kind: 'tensor', storage: { kind: 'storage', key: '0', dtype: 'float32', count: 6n }, dtype: 'float32', offset: 0n, shape: [2n], strides: [1n] } // prettier-ignore

const UNFIT: readonly (readonly [string, readonly Value[]])[] = [
  ['collections.OrderedDict', [1n]],
  ['collections.OrderedDict', [dict()]],
  ['collections.OrderedDict', [list('ab')]],
  ['collections.OrderedDict', [list(tuple('a'))]],
  ['collections.OrderedDict', [list(tuple('a', 1n, 2n))]],
  ['collections.OrderedDict', [list(tuple('a', 1n), tuple('a', 2n))]],
  ['collections.Counter', [list()]],
  ['torch.Size', []],
  ['torch.Size', ['23']],
  ['_codecs.encode', []],
  ['_codecs.encode', ['a', 'rot13']],
  ['_codecs.encode', ['a', 'utf-8']],
  ['_codecs.encode', ['€', 'latin1']],
  ['_codecs.encode', [Buffer.of(1), 'latin1']],
  ['builtins.bytearray', ['a']],
  ['builtins.bytearray', ['€', 'latin-1']],
  ['builtins.bytearray', [2n ** 40n]],
  ['builtins.set', [dict()]],
  [`${REBUILD}tensor`, []],
  [`${REBUILD}tensor`, [null, 0n, tuple(), tuple()]],
  [`${REBUILD}tensor`, [FLOATS, null, tuple(), tuple()]],
  [`${REBUILD}tensor`, [FLOATS, 0.5, tuple(), tuple()]],
  [`${REBUILD}tensor`, [FLOATS, true, tuple(), tuple()]],
  [`${REBUILD}tensor`, [FLOATS, 0n, tuple(1), tuple()]],
  [`${REBUILD}tensor`, [FLOATS, 0n, 'ab', tuple()]],
  [`${REBUILD}tensor`, [BYTES, 0n, tuple(), tuple()]],
  [`${REBUILD}tensor_v3`, [BYTES, 0n, tuple(), tuple(), false, dict(), 'uint16']],
  [`${REBUILD}tensor_v3`, [BYTES, 0n, tuple(), tuple()]],
  [`${REBUILD}tensor_v2`, [...VIEW]],
  [`${REBUILD}tensor_v2`, [...VIEW, 1n, dict()]],
  [`${REBUILD}tensor_v2`, [...VIEW, false, list()]],
  [`${REBUILD}tensor_v2`, [...VIEW, false, dict(), list()]],
  [`${REBUILD}tensor_v2`, [...VIEW, false, dict(), null, null]],
  [`${REBUILD}tensor_v3`, [...VIEW, false, dict(), dtype('float32'), null, null]],
  [`${REBUILD}parameter`, [TENSOR]],
  [`${REBUILD}parameter`, [TENSOR, true]],
  [`${REBUILD}parameter`, [TENSOR, true, dict(), dict()]],
  [`${REBUILD}parameter_with_state`, [TENSOR, true, dict()]],
  // Its numbers would be another tensor's.
  [`${REBUILD}parameter_with_state`, [TENSOR, true, dict(), dict(['data', TENSOR])]],
  [`${REBUILD}parameter_with_state`, [TENSOR, true, dict(), tuple(null, dict(['real', TENSOR]))]],
  ['torch._tensor._rebuild_from_type_v2', [global('torch._utils', '_rebuild_tensor'), global('torch', 'Tensor'), tuple(...VIEW), dict(['data', TENSOR])]], // prettier-ignore
  [`${REBUILD}parameter`, []],
  [`${REBUILD}parameter`, [dict()]],
  [`${REBUILD}parameter`, [{ kind: 'aside', what: 'a device' }]],
  ['torch._tensor._rebuild_from_type_v2', []],
  ['torch._tensor._rebuild_from_type_v2', [global('torch', 'device'), global('torch', 'Tensor'), tuple('cpu')]], // prettier-ignore
  ['torch._tensor._rebuild_from_type_v2', [global('torch._tensor', '_rebuild_from_type_v2'), global('torch', 'Tensor'), tuple()]], // prettier-ignore
]

t.test('arguments that PyTorch doesn’t write are refused', async (t) => {
  for (const [name, args] of UNFIT)
    t.ok(
      isUnfit(() => construct(name, args)),
      name,
    )
})

t.test('globals are names on a list; all others are not known', async (t) => {
  t.strictSame(globalValue('torch', 'bfloat16'), { kind: 'dtype', name: 'bfloat16' })
  t.strictSame(globalValue('torch', 'half'), { kind: 'dtype', name: 'float16' })
  t.match(globalValue('torch', 'per_channel_affine'), { kind: 'aside' })
  t.strictSame(globalValue('torch', 'Size'), { kind: 'global', module: 'torch', name: 'Size' })
  for (const [module, name] of [
    ['os', 'system'],
    ['torch', 'load'],
    ['torch.storage', '_load_from_bytes'],
    ['torch', 'StorageX'],
    ['', ''],
    ['torch', 'hasOwnProperty'],
    ['', '__proto__'],
  ] as const)
    // prettier-ignore
    t.equal(globalValue(module, name), undefined, `${module}.${name}`)
  for (const name of ['constructor', 'toString', 'torch.FloatStorage', 'os.system'])
    t.equal(construct(name, []), undefined)
})

t.test('storage classes say a dtype, or none', async (t) => {
  const classes = { Double: 'float64', Float: 'float32', Half: 'float16', BFloat16: 'bfloat16', Long: 'int64', Int: 'int32', Short: 'int16', Char: 'int8', Byte: 'uint8', Bool: 'bool', ComplexFloat: 'complex64', ComplexDouble: 'complex128', QInt8: 'qint8' } // prettier-ignore
  for (const [name, wanted] of Object.entries(classes)) {
    t.equal(storageClass(`torch.${name}Storage`), wanted)
    t.equal(storageClass(`torch.cuda.${name}Storage`), wanted)
    t.equal(storageClass(`evil.${name}Storage`), undefined)
  }
  t.equal(storageClass('torch.storage.UntypedStorage'), null)
})

t.test('persistent ids are storages, and their keys are numbers', async (t) => {
  const id = (key: Value, count: Value = 6n, ...more: Value[]): Value =>
    tuple('storage', global('torch', 'FloatStorage'), key, 'cuda:0', count, ...more)
  t.strictSame(storageOf(id('0')), FLOATS)
  t.strictSame(storageOf(id('0', 6n, null)), FLOATS)
  t.ok(isKind(storageOf(id('9'.repeat(20))), 'storage'))
  for (const key of ['', '../0', '0/../0', 'a', '-1', '0 ', '0\n', '٣', '1'.repeat(21), 0n, null])
    t.ok(
      isUnfit(() => storageOf(id(key))),
      String(key),
    )
  for (const count of [-1n, 1, null, '6']) t.ok(isUnfit(() => storageOf(id('0', count))))
  for (const odd of [
    null,
    'storage',
    tuple(),
    tuple('storage'),
    tuple('module', 'a', 'b', 'c'),
    list('storage'),
    id('0', 6n, tuple('1', 0n, 3n)),
    id('0', 6n, null, null),
  ])
    // prettier-ignore
    t.ok(isUnfit(() => storageOf(odd)))
  t.ok(isUnfit(() => storageOf(tuple('storage', global('torch', 'Size'), '0', 'cpu', 6n))))
  t.ok(isUnfit(() => storageOf(tuple('other', global('torch', 'FloatStorage'), '0', 'cpu', 6n))))
})
