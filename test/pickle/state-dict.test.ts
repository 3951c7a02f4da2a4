import t from 'tap'
import { DEFAULT_LIMITS } from '../../src/pickle/limits.ts'
import { stateDictOf, type StateDict, type StateDictLimits } from '../../src/pickle/state-dict.ts'
import type { Dict, Tensor, Value } from '../../src/pickle/values.ts'
import { refusal } from './converting.ts'

const STORAGE = { kind: 'storage', key: '0', dtype: 'float32', count: 1n } as const
const W: Tensor = { kind: 'tensor', storage: STORAGE, dtype: 'float32', offset: 0n, shape: [], strides: [] } // prettier-ignore
const SPARSE: Value = { kind: 'refused', what: 'a sparse tensor' }

const dict = (entries: Readonly<Record<string, Value>>): Dict => ({
  kind: 'dict',
  entries: new Map(Object.entries(entries)),
})
const list = (...items: Value[]): Value => ({ kind: 'list', items })

interface Options {
  readonly root?: string
  readonly limits?: Partial<StateDictLimits>
}

const of = (value: Value, { root, limits }: Options = {}): StateDict =>
  stateDictOf(value, root, { ...DEFAULT_LIMITS, ...limits })
const namesOf = (value: Value, options?: Options): string[] =>
  of(value, options).tensors.map(({ name }) => name)
const refused = (value: Value, options?: Options): string => refusal(() => of(value, options))

t.test('a mapping of tensors is itself the weights', async (t) => {
  const { root, tensors, dropped, scalars } = of(dict({ b: W, a: W }))
  t.equal(root, '')
  t.strictSame(tensors, [{ name: 'b', tensor: W }, { name: 'a', tensor: W }]) // prettier-ignore
  t.strictSame([dropped, scalars], [[], []])
})

t.test('the usual names of the weights are known', async (t) => {
  for (const key of [
    'state_dict',
    'model',
    'model_state_dict',
    'module',
    'params_ema',
    'params',
    'net',
  ])
    // prettier-ignore
    t.equal(of(dict({ epoch: 1n, [key]: dict({ w: W }), optimizer: dict({ m: W }) })).root, key)
})

t.test('a tensor or a device beside them hides nothing', async (t) => {
  const aside: Value = { kind: 'aside', what: 'a device' }
  const found = of(dict({ rng: W, device: aside, model: dict({ w: W }) }))
  t.equal(found.root, 'model')
  t.strictSame(found.dropped, ['rng', 'device'])
})

t.test('where it isn’t clear, all parts are told with their tensors', async (t) => {
  const both = dict({ model: dict({ a: W }), net: dict({ a: W, b: list(W) }), other: W, x: 1n })
  t.equal(
    refused(both),
    'root: it isn’t clear which part are the weights: "model" (1 tensor), "net" (2 tensors), "other" (1 tensor); name one as the root (--root, ?root=)',
  )
  t.equal(of(both, { root: 'net' }).root, 'net')
  t.match(refused(dict({ encoder: dict({ w: W }) })), /: "encoder" \(1 tensor\); name one/)
  const many = dict(
    Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`part${i}`, dict({ w: W })])),
  )
  t.match(
    refused(many),
    /"part19" \(1 tensor\), 30 more; name one as the root \(--root, \?root=\)$/,
  )
})

t.test('the root can be named, as deep as it lies', async (t) => {
  const deep = dict({ a: dict({ b: dict({ w: W }), c: 1n, d: W }), e: 'text', f: list(W) })
  const found = of(deep, { root: 'a.b' })
  t.strictSame([found.root, found.tensors.map(({ name }) => name)], ['a.b', ['w']])
  t.strictSame(found.scalars, [['e', 'text'], ['a.c', '1']]) // prettier-ignore
  t.strictSame(found.dropped, ['f', 'a.d'])
  t.strictSame(namesOf(deep, { root: '' }), ['a.b.w', 'a.d', 'f.0'])
  for (const root of ['x', 'a.x', 'a.d', 'e', 'a.b.w', '.', 'a.'])
    t.match(refused(deep, { root }), /^root: there is no mapping/, root)
})

t.test('nested keys are joined with dots, places of lists too', async (t) => {
  const nested = dict({ w: W, blocks: list(dict({ w: W }), { kind: 'tuple', items: [W, W] }) })
  t.strictSame(namesOf(nested), ['w', 'blocks.0.w', 'blocks.1.0', 'blocks.1.1'])
  t.strictSame(namesOf(dict({ w: W, __proto__x: W, constructor: W, 1: W })).sort(), ['1', '__proto__x', 'constructor', 'w']) // prettier-ignore
  const proto: Dict = { kind: 'dict', entries: new Map([['__proto__', W]]) }
  t.strictSame(namesOf(proto), ['__proto__'])
})

t.test('names that collide and keys that are no text are refused', async (t) => {
  t.equal(refused(dict({ 'a.b': W, a: dict({ b: W }) })), 'root: two values have the name "a.b"')
  t.match(refused(dict({ 'a.b': W, a: dict({ b: 1n }) })), 'two values have the name')
  for (const key of [
    0n,
    1.5,
    true,
    null,
    { kind: 'tuple', items: [] } as const,
    new Uint8Array(),
  ]) {
    const odd: Dict = { kind: 'dict', entries: new Map<Value, Value>([['w', W], [key, W]]) } // prettier-ignore
    t.match(refused(odd), /^root: a key of "", .*, is no string$/)
  }
})

t.test('numbers and texts go along, what else there is is told', async (t) => {
  const found = of(
    dict({ w: W, n: 3n, f: 0.1, b: true, s: 'ä', none: null, bytes: new Uint8Array(), long: 'x'.repeat(5000), set: { kind: 'set', items: [W] } }), // prettier-ignore
  )
  t.strictSame(found.scalars, [['n', '3'], ['f', '0.1'], ['b', 'true'], ['s', 'ä']]) // prettier-ignore
  t.strictSame(found.dropped, ['none', 'bytes', 'long', 'set'])
})

t.test('beside the weights a name of theirs, or that of the format, is left', async (t) => {
  const found = of(dict({ w: 1n, format: 'onnx', model: dict({ w: W }) }))
  t.strictSame([found.scalars, found.dropped], [[], ['w', 'format']])
  const odd: Dict = { kind: 'dict', entries: new Map<Value, Value>([['model', dict({ w: W })], [7n, 'x']]) } // prettier-ignore
  t.strictSame(of(odd).scalars, [['7', 'x']])
})

t.test('there is a tensor, and it is a mapping', async (t) => {
  for (const value of [
    dict({}),
    dict({ a: 1n }),
    dict({ model: dict({}) }),
    dict({ a: dict({ b: 1n }) }),
  ])
    t.equal(refused(value), 'root: there is no tensor in it')
  for (const value of [W, list(W), null, 'text', 1n, { kind: 'set', items: [W] } as const])
    t.equal(refused(value), 'root: it is no mapping of names to tensors')
})

t.test('a tensor of no file format is an obstacle where it is wanted only', async (t) => {
  t.equal(refused(dict({ a: W, b: SPARSE })), 'tensor: "b" is a sparse tensor, which safetensors does not have') // prettier-ignore
  t.strictSame(of(dict({ model: dict({ a: W }), b: SPARSE })).dropped, ['b'])
})

t.test('an object of an unknown class lies outside of the weights', async (t) => {
  const opaque: Value = { kind: 'opaque', global: { module: 'a', name: 'B' }, offset: 1 }
  t.strictSame(of(dict({ model: dict({ a: W }), args: opaque })).dropped, ['args'])
  t.match(refused(dict({ model: dict({ a: W, args: list(opaque) }) })), /^pickle: "args.0", among the weights, is of the class a.B/) // prettier-ignore
})

t.test('shared values are not followed for ever', async (t) => {
  let laughs: Value = list(W, W)
  for (let i = 0; i < 60; i += 1) laughs = list(laughs, laughs)
  t.match(refused(dict({ w: W, laughs }), { limits: { maxVisits: 50_000 } }), /^limit: it leads to/)
  t.match(refused(dict({ model: dict({ laughs }) }), { limits: { maxVisits: 50_000 } }), /^limit: /)
  t.match(refused(dict({ laughs }), { limits: { maxVisits: 50_000 } }), /^limit: /)
  let empty: Value = list()
  for (let i = 0; i < 60; i += 1) empty = list(empty, empty)
  t.match(refused(dict({ w: W, empty }), { limits: { maxVisits: 50_000 } }), /^limit: /)
  // Outside of the weights nobody follows them.
  t.strictSame(of(dict({ model: dict({ w: W }), laughs })).dropped, ['laughs'])
})

t.test('values that hold themselves are nested too deep', async (t) => {
  const items: Value[] = []
  const own: Value = { kind: 'list', items }
  items.push(own, ...Array.from({ length: 100_000 }, () => null))
  t.match(refused(dict({ w: W, own })), /^limit: its values are nested more than 100 deep/)
  const mapping = dict({ w: W })
  mapping.entries.set('me', mapping)
  t.match(refused(mapping), /^limit: its values are nested more than 100 deep/)
  mapping.entries.set('model', mapping)
  t.match(refused(mapping), /^limit: /)
})

t.test('depth has a limit', async (t) => {
  const nested = (depth: number): Value =>
    Array.from({ length: depth }).reduce<Value>((inner) => list(inner), W)
  t.equal(of(dict({ w: W, n: nested(99) })).tensors.length, 2)
  t.match(refused(dict({ w: W, n: nested(100) })), /^limit: /)
})

t.test('tensors have a limit, and names a length', async (t) => {
  const value = dict({ a: W, b: W, c: W })
  t.equal(of(value, { limits: { maxTensors: 3 } }).tensors.length, 3)
  t.match(refused(value, { limits: { maxTensors: 2 } }), /^limit: it has more than 2 tensors/)
  // 60 keys of a megabyte, one in the other, and below them many names.
  let deep: Value = list(...Array.from({ length: 1000 }, () => W))
  for (let i = 0; i < 60; i += 1) deep = dict({ ['k'.repeat(2 ** 20)]: deep })
  t.match(refused(dict({ w: W, deep })), /^limit: its names take more than 33554432 characters/)
  t.strictSame([DEFAULT_LIMITS.maxTensors, DEFAULT_LIMITS.maxDepth], [200_000, 100])
})

t.test('a root’s keys may have dots in them, and lead to one place', async (t) => {
  const dotted = dict({ 'a.b': dict({ w: W }) })
  t.strictSame(namesOf(dotted, { root: 'a.b' }), ['w'])
  const both = dict({ 'a.b': dict({ w: W }), a: dict({ b: dict({ v: W }) }) })
  t.equal(refused(both, { root: 'a.b' }), 'root: "a.b" is a key of it, and leads through its keys too') // prettier-ignore
})

t.test('an object in the place of a mapping is named', async (t) => {
  const global = { module: 'torch.nn', name: 'Linear' }
  t.match(refused({ kind: 'opaque', global, offset: 0 }), /^root: it is an object of the class torch\.nn\.Linear; save its state_dict\(\)/) // prettier-ignore
})
