import t from 'tap'
import { DEFAULT_LIMITS } from '../../src/pickle/limits.ts'
import { type MachineLimits, unpickle, type Unpickled } from '../../src/pickle/machine.ts'
import { OPCODES } from '../../src/pickle/opcodes.ts'
import { PickleError } from '../../src/pickle/pickle-error.ts'
import type { Value } from '../../src/pickle/values.ts'
import { call, dict, float, get, global, int, join, list, pickle, put, storage, tensor, text, tuple } from '../../bench/fuzz-pickle/assembler.ts' // prettier-ignore

interface Options {
  readonly limits?: Partial<MachineLimits>
  readonly isOpaqueAllowed?: boolean
}

const run = (bytes: Uint8Array, { limits, isOpaqueAllowed = false }: Options = {}): Unpickled =>
  unpickle(bytes, 0, { limits: { ...DEFAULT_LIMITS, ...limits }, isOpaqueAllowed })

const valueOf = (...code: readonly (string | Uint8Array)[]): Value => run(pickle(...code)).value

function failureOf(bytes: Uint8Array, options?: Options): PickleError {
  try {
    run(bytes, options)
  } catch (error) {
    if (error instanceof PickleError) return error
    throw error
  }
  throw new Error('it was read')
}

const failure = (bytes: Uint8Array, options?: Options): string => failureOf(bytes, options).message

/** The opcodes with which data is built. */
const TAKEN = ['PROTO', 'GLOBAL', 'EMPTY_DICT', 'EMPTY_LIST', 'EMPTY_TUPLE', 'MARK', 'SETITEM', 'SETITEMS', 'APPEND', 'APPENDS', 'TUPLE1', 'TUPLE2', 'TUPLE3', 'TUPLE', 'NONE', 'NEWTRUE', 'NEWFALSE', 'BININT', 'BININT1', 'BININT2', 'LONG1', 'BINFLOAT', 'BINUNICODE', 'SHORT_BINSTRING', 'BINGET', 'LONG_BINGET', 'BINPUT', 'LONG_BINPUT', 'BINPERSID', 'REDUCE', 'BUILD', 'STOP'] // prettier-ignore
/** Bytes of protocol 3, and an object of a class, which is refused unless the class is opaque. */
const TAKEN_TOO = ['BINBYTES', 'SHORT_BINBYTES', 'NEWOBJ']

t.test('each opcode builds what Python builds', async (t) => {
  t.equal(valueOf('N'), null)
  t.equal(valueOf('\x88'), true)
  t.equal(valueOf('\x89'), false)
  t.equal(valueOf('K\x07'), 7n)
  t.equal(valueOf('M\x07\x01'), 263n)
  t.equal(valueOf(int(-2)), -2n)
  t.equal(valueOf(int(2 ** 40)), 2n ** 40n)
  t.equal(valueOf(float(0.25)), 0.25)
  t.equal(valueOf(text('ä')), 'ä')
  t.equal(valueOf('U\x02\xc3\xa4'), 'ä')
  t.strictSame(valueOf('C\x01\xff'), Buffer.of(255))
  t.strictSame(valueOf('B\x01\x00\x00\x00\xff'), Buffer.of(255))
  t.strictSame(valueOf(']'), { kind: 'list', items: [] })
  t.strictSame(valueOf(']Na'), { kind: 'list', items: [null] })
  t.strictSame(valueOf('](N\x88e'), { kind: 'list', items: [null, true] })
  t.strictSame(valueOf(')'), { kind: 'tuple', items: [] })
  t.strictSame(valueOf('N\x85'), { kind: 'tuple', items: [null] })
  t.strictSame(valueOf('N\x88\x86'), { kind: 'tuple', items: [null, true] })
  t.strictSame(valueOf('N\x88\x89\x87'), { kind: 'tuple', items: [null, true, false] })
  t.strictSame(valueOf('(N\x88\x89Nt'), { kind: 'tuple', items: [null, true, false, null] })
  t.strictSame(valueOf('}'), { kind: 'dict', entries: new Map() })
  t.strictSame(valueOf('}', text('a'), 'Ns'), { kind: 'dict', entries: new Map([['a', null]]) })
  t.strictSame(
    valueOf('}(', text('a'), 'N', int(1), '\x88u'),
    { kind: 'dict', entries: new Map<Value, Value>([['a', null], [1n, true]]) }, // prettier-ignore
  )
  t.strictSame(valueOf(global('torch', 'Size'), '(K\x02K\x03t\x85R'), {
    kind: 'tuple',
    items: [2n, 3n],
  })
})

t.test('a value that is remembered is the same one when it is recalled', async (t) => {
  const value = valueOf(list(put(3, '}'), get(3), 'h\x03'))
  t.ok(typeof value === 'object' && value !== null && 'items' in value)
  const { items } = value as { items: readonly Value[] }
  t.equal(items[0], items[1])
  t.equal(items[0], items[2])
  t.equal(valueOf('(Nq\x00\x88q\x00', 'h\x00t') instanceof Object, true, 'the last one counts')
})

t.test('a pickle says what it names: storages by key, and where it ends', async (t) => {
  const bytes = pickle(list(storage({ key: '5', count: 3 }), storage({ key: '5', count: 3 })))
  const { storages, end, value } = run(join(bytes, 'junk'))
  t.equal(end, bytes.length)
  const wanted = { kind: 'storage', key: '5', dtype: 'float32', count: 3n }
  t.strictSame([...storages], [['5', wanted]])
  const { items } = value as { items: readonly Value[] }
  t.equal(items[0], items[1])
})

t.test('every other opcode is refused by name and place', async (t) => {
  for (const [code, { name, argument }] of OPCODES) {
    if (TAKEN.includes(name) || TAKEN_TOO.includes(name)) continue
    const body =
      argument === 'global' ? 'os\nsystem\n' : argument === 'line' ? '1\n' : '\0'.repeat(8)
    const error = failureOf(join('\x80\x02N', Buffer.from([code]), body, '.'))
    t.equal(error.message, `has the opcode ${name}, which torch.save does not write`)
    t.equal(error.offset, 3, name)
    t.equal(error.facts.via, name)
  }
})

t.test('protocols 2 and 3 are read, no others', async (t) => {
  for (const protocol of [2, 3]) t.equal(run(Buffer.from([0x80, protocol, 0x4e, 0x2e])).value, null)
  for (const protocol of [0, 1, 4, 5, 6, 255])
    t.match(failure(Buffer.from([0x80, protocol, 0x4e, 0x2e])), `is of protocol ${protocol}`)
  t.equal(failure(join('N.')), 'does not begin with PROTO, as protocols 2 and 3 do')
  t.equal(failure(join('.')), 'does not begin with PROTO, as protocols 2 and 3 do')
  t.match(failure(pickle('N\x80\x02')), 'is of protocol 2', 'PROTO again')
})

const BROKEN: Readonly<Record<string, string>> = {
  'a mark that nobody wants': '(N',
  'a mark alone': '(',
  'two values': 'NN',
  'no value': '',
  'no value for the memo': 'q\x00',
  'a mark for the memo': '](q\x00',
  'a value that was never kept': 'h\x07',
  'a value that was kept under another number': 'Nq\x06h\x07',
  'a tuple of too few': 'N\x86',
  'a tuple of what lies below a mark': 'N(\x85',
  'a tuple without a mark': 'Nt',
  'a list without a mark': ']Ne',
  'items without a mark': '}NNu',
  'items of what is no list': '}Na',
  'items of a tuple': ')Na',
  'keys of what is no dict': ']NNs',
  'a key without a value': '}(Nu',
  'a key twice': '}(K\x01NK\x01Nu',
  'a key twice, later': '}(K\x01NuK\x01Ns',
  'a call without a function': ')R',
  'a call of a value': 'N)R',
  'a call of text': 'U\x02os)R',
  'a call with a list': 'ccollections\nOrderedDict\n]R',
  'attributes of nothing': '}b',
  'attributes of a list': ']}b',
  'attributes of a function': 'ctorch\nSize\n}b',
  'an object of a function': 'ctorch\nSize\n)\x81',
  'an object of a value': '])\x81',
  'a persistent id of nothing': 'Q',
  'a persistent id that is no tuple': 'U\x01aQ',
  'a persistent id that is empty': ')Q',
}

t.test('what no pickler writes is refused, with the place', async (t) => {
  for (const [what, code] of Object.entries(BROKEN)) {
    const { offset } = failureOf(pickle(code))
    // The fault is in the last opcode, or in STOP.
    t.ok(offset >= 2 && offset <= 2 + code.length, what)
  }
  t.equal(failureOf(join('\x80\x02N')).message, 'ends without STOP')
  t.equal(failureOf(join('\x80\x02N')).offset, 3)
})

t.test('what is named and not known is never called, whatever it is called', async (t) => {
  const names = ['os.system', 'posix.system', 'nt.system', 'subprocess.Popen', 'builtins.eval', '__builtin__.eval', 'builtins.exec', 'builtins.getattr', 'builtins.__import__', 'builtins.open', 'builtins.dict', 'builtins.bytes', 'importlib.import_module', 'runpy.run_path', 'pickle.loads', 'torch.load', 'torch.hub.load', 'torch.storage._load_from_bytes', 'torch._utils._rebuild_anything', 'numpy.core.multiarray._reconstruct', 'copyreg._reconstructor', 'functools.partial', 'operator.attrgetter', 'collections.defaultdict', 'torch.nn.modules.linear.Linear', 'argparse.Namespace', 'constructor.constructor', '.', '__proto__.toString', 'torch.toString', 'torch.__proto__', 'torch.constructor'] // prettier-ignore
  for (const full of names) {
    const dot = full.lastIndexOf('.')
    const [module, name] = [full.slice(0, dot), full.slice(dot + 1)]
    const error = failureOf(pickle(call(module, name, text('echo hello'))))
    t.equal(error.message, `names ${full}`)
    t.equal(error.offset, 2)
    t.strictSame(error.facts.global, { module, name })
  }
})

t.test('a name is known by its module, not by the dots in it', async (t) => {
  t.equal(failure(pickle(global('torch', '_utils._rebuild_tensor_v2'))), 'names torch._utils._rebuild_tensor_v2') // prettier-ignore
  t.equal(failure(pickle(global('', 'collections.OrderedDict'))), 'names .collections.OrderedDict')
})

t.test('where a class stands is told by the keys that lead to it', async (t) => {
  const inner = dict({ lr: float(1), model: global('argparse', 'Namespace') })
  const { facts } = failureOf(pickle(dict({ epoch: int(1), hyper: inner })))
  t.strictSame(facts.path, ['hyper', 'model'])
})

t.test('classes and types that stand as arguments can’t be called', async (t) => {
  for (const [module, name] of [
    ['torch', 'FloatStorage'],
    ['torch.storage', 'UntypedStorage'],
    ['torch.nn.parameter', 'Parameter'],
    ['torch', 'Tensor'],
  ] as const)
    // prettier-ignore
    t.equal(failure(pickle(call(module, name, int(1)))), `calls ${module}.${name}`)
  t.equal(failure(pickle(call('torch', 'float32'))), 'calls what is no function')
})

t.test('attributes of a dict, as of a module’s state, are no part of it', async (t) => {
  const ordered = join(call('collections', 'OrderedDict'), text('a'), 'Ns')
  const attributes = dict({ _metadata: dict({}) })
  const entries = new Map([['a', null]])
  t.strictSame(valueOf(ordered, attributes, 'b'), { kind: 'dict', entries, hasAttributes: true })
  // Python refuses both.
  t.equal(failure(pickle(dict({ a: 'N' }), attributes, 'b')), 'sets attributes of what has none')
  t.equal(failure(pickle(ordered, list(), 'b')), 'sets attributes of what has none')
})

t.test('where they are allowed, unknown objects take everything and do nothing', async (t) => {
  const object = join(global('a.b', 'C'), ')\x81', dict({ x: int(1) }), 'b')
  const called = join(call('os', 'system', text('echo hello')), '(NNu', '(Ne', '}b')
  const { value, opaque } = run(pickle(list(object, called)), { isOpaqueAllowed: true })
  const { items } = value as { items: readonly Value[] }
  t.strictSame(items, [
    { kind: 'opaque', global: { module: 'a.b', name: 'C' }, offset: 4 },
    { kind: 'opaque', global: { module: 'os', name: 'system' }, offset: opaque[1]?.offset },
  ])
  t.equal(opaque.length, 2)
  t.match(
    failure(pickle(call('collections', 'OrderedDict', global('a', 'B'))), {
      isOpaqueAllowed: true,
    }),
    'wants a list',
  )
})

t.test('a list may hold itself, and nothing is read twice for it', async (t) => {
  const value = valueOf(']q\x00h\x00a')
  const { items } = value as { items: readonly Value[] }
  t.equal(items[0], value)
  const own = valueOf('}q\x00', text('me'), 'h\x00s') as { entries: Map<Value, Value> }
  t.equal(own.entries.get('me'), own)
})

t.test('nesting has no depth for the machine', async (t) => {
  t.match(valueOf(')', '\x85'.repeat(200_000)), { kind: 'tuple' })
  t.match(valueOf('](]'.repeat(1), 'e'), { kind: 'list' })
  t.match(failure(pickle('('.repeat(1_000_001))), 'too many marks')
})

t.test('opcodes, the stack and the memo have limits', async (t) => {
  t.equal(failure(pickle('NNNN'), { limits: { maxOpcodes: 3 } }), 'has more than 3 opcodes')
  t.equal(
    failure(pickle('NNNN'), { limits: { maxValues: 3 } }),
    'has more than 3 values on its stack',
  )
  t.equal(
    failure(pickle('N(N(NN'), { limits: { maxValues: 3 } }),
    'has more than 3 values on its stack',
  )
  t.equal(
    failure(pickle('Nq\x00q\x01q\x02q\x03'), { limits: { maxMemo: 3 } }),
    'remembers more than 3 values',
  )
  t.equal(failure(pickle('((((('), { limits: { maxValues: 3 } }), 'has too many marks open')
  t.equal(run(pickle('(NNNt'), { limits: { maxValues: 3 } }).end, 8)
  const { maxOpcodes, maxValues, maxMemo, maxStringBytes, maxBytes, maxTensors } = DEFAULT_LIMITS
  t.strictSame([maxValues, maxStringBytes, maxBytes], [1_000_000, 2 ** 20, 2 ** 26])
  // Of a parameter torch.save writes 40 opcodes, of which 11 remember something.
  t.ok(maxOpcodes > 40 * maxTensors && maxOpcodes <= 10_000_000)
  t.ok(maxMemo > 11 * maxTensors && maxMemo <= 3_000_000)
})

/** Each would take gigabytes or hours: a few bytes that name something large again and again. */
const BOMBS: Readonly<Record<string, Uint8Array>> = {
  'empty dicts': join(']', `(${'}'.repeat(1000)}e`.repeat(200)),
  'copies of a long text': join(
    '(',
    put(0, global('_codecs', 'encode')),
    put(1, tuple(text('a'.repeat(100_000)), text('latin1'))),
    'h\x00h\x01R'.repeat(1000),
    't',
  ),
  'copies of a large dict': join(
    '(',
    put(0, global('collections', 'Counter')),
    put(1, tuple(join('}(', ...Array.from({ length: 5000 }, (_, i) => join(int(i), 'N')), 'u'))),
    'h\x00h\x01R'.repeat(1000),
    't',
  ),
  'copies of many pairs': join(
    '(',
    put(0, global('collections', 'OrderedDict')),
    put(1, tuple(list(...Array.from({ length: 5000 }, (_, i) => tuple(int(i), 'N'))))),
    'h\x00h\x01R'.repeat(1000),
    't',
  ),
}

t.test('what all values take together has a limit', async (t) => {
  const limits = { maxBuiltBytes: 16 * 1024 * 1024 }
  for (const [what, code] of Object.entries(BOMBS))
    t.equal(failure(pickle(code), { limits }), 'builds more than 16777216 bytes of values', what)
  const size = tuple(...Array.from({ length: 65 }, () => int(1)))
  t.match(
    failure(pickle(call('torch._utils', '_rebuild_tensor', storage(), int(0), size, size))),
    'wants at most 64 dimensions',
  )
  t.ok(
    run(pickle(list(...Array.from({ length: 10_000 }, (_, i) => tensor({ key: String(i) }))))).end,
  )
})
