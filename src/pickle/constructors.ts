import { DTYPE_OF_GLOBAL, DTYPE_OF_STORAGE, type DtypeName } from './dtypes.ts'
import {
  type Aside,
  isKind,
  nameOf,
  shown,
  type Dict,
  type Refused,
  type Storage,
  type Tensor,
  type Value,
} from './values.ts'

// All that a pickle may name. What it may call builds data, and nothing of it is Python's or PyTorch's own code: each
// function says how that one's arguments are read. What isn't here is not called, whatever it is named.

/** Thrown where the arguments aren't what PyTorch writes. */
export class Unfit extends Error {}

type Constructor = (args: readonly Value[]) => Value

const CONSTRUCTORS: Readonly<Record<string, Constructor>> = {
  'collections.OrderedDict': orderedDict,
  'collections.Counter': counter,
  // A copy: the list may grow afterwards.
  'torch.Size': ([items]) => ({ kind: 'tuple', items: [...itemsOf(items)] }),
  'torch.device': () => aside('a device'),
  '_codecs.encode': encoded,
  ...underBothNames('bytearray', bytearray),
  ...underBothNames('set', ([items]) => ({ kind: 'set', items: [...itemsOf(items)] })),
  ...underBothNames('complex', () => aside('a complex number')),
  'torch._utils._rebuild_tensor': (args) => tensor(args, undefined),
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_tensor_v3': rebuildTensorOfType,
  'torch._utils._rebuild_parameter': ([data, ...more]) => parameter(data, more, 2),
  'torch._utils._rebuild_parameter_with_state': ([data, ...more]) => parameter(data, more, 3),
  'torch._tensor._rebuild_from_type_v2': rebuildFromType,
  'torch.serialization._get_layout': () => aside('a layout'),
}

/** Tensors of kinds that safetensors has none of. */
const REFUSED: Readonly<Record<string, string>> = {
  'torch._utils._rebuild_qtensor': 'a quantized tensor',
  'torch._utils._rebuild_sparse_tensor': 'a sparse tensor',
  'torch._utils._rebuild_sparse_csr_tensor': 'a sparse tensor',
  'torch._utils._rebuild_nested_tensor': 'a nested tensor',
  'torch._utils._rebuild_meta_tensor_no_storage': 'a tensor on the meta device, which has no bytes',
  'torch._utils._rebuild_device_tensor_from_numpy': 'a tensor kept as a NumPy array',
  'torch._utils._rebuild_device_tensor_from_cpu_tensor': 'a tensor of another device',
  'torch._utils._rebuild_wrapper_subclass': 'a tensor of a subclass',
}

/** How numbers were quantized: values, of which nothing is needed here. */
const QUANTIZED = /^torch\.per_(?:tensor|channel)_(?:affine|symmetric|affine_float_qparams)$/

/** Classes that only stand as arguments. */
const TENSOR_TYPES: ReadonlySet<string> = new Set([
  'torch.Tensor',
  'torch.nn.parameter.Parameter',
  'torch.nn.Parameter',
  'torch.nn.parameter.Buffer',
])
const MOST_STORAGE_CLASSES = /^torch(?:\.cuda)?\.(\w+)$/

/** Protocol 2 writes Python 2's name of the module. */
function underBothNames(name: string, constructor: Constructor): Record<string, Constructor> {
  return { [`builtins.${name}`]: constructor, [`__builtin__.${name}`]: constructor }
}

/** What a global stands for; undefined where it isn't known. */
export function globalValue(module: string, name: string): Value | undefined {
  // Or `torch` and `_utils._rebuild_tensor` would be another way to say one.
  if (name.includes('.')) return undefined
  const dtype = module === 'torch' ? DTYPE_OF_GLOBAL.get(name) : undefined
  if (dtype !== undefined) return { kind: 'dtype', name: dtype }
  const full = `${module}.${name}`
  if (QUANTIZED.test(full)) return aside('a way of quantizing')
  const isKnown =
    Object.hasOwn(CONSTRUCTORS, full) ||
    Object.hasOwn(REFUSED, full) ||
    TENSOR_TYPES.has(full) ||
    storageClass(full) !== undefined
  return isKnown ? { kind: 'global', module, name } : undefined
}

/** The dtype of a storage class by its full name, null for bytes without a type; undefined where it is none. */
export function storageClass(full: string): DtypeName | null | undefined {
  if (full === 'torch.storage.UntypedStorage' || full === 'torch.UntypedStorage') return null
  return DTYPE_OF_STORAGE.get(MOST_STORAGE_CLASSES.exec(full)?.[1] ?? '')
}

/** What a call of a known global builds; undefined where it can't be called. @throws {Unfit} */
export function construct(full: string, args: readonly Value[]): Value | undefined {
  const what = Object.hasOwn(REFUSED, full) ? REFUSED[full] : undefined
  if (what !== undefined) return refused(what)
  return Object.hasOwn(CONSTRUCTORS, full) ? CONSTRUCTORS[full]?.(args) : undefined
}

const refused = (what: string): Refused => ({ kind: 'refused', what })
const aside = (what: string): Aside => ({ kind: 'aside', what })

/** Empty, or of a list of pairs, as Python 2 wrote it. */
function orderedDict([pairs]: readonly Value[]): Dict {
  const entries = new Map<Value, Value>()
  if (pairs === undefined) return { kind: 'dict', entries, hasAttributes: true }
  for (const pair of itemsOf(pairs)) {
    const [key, value, ...more] = itemsOf(pair)
    if (key === undefined || value === undefined || more.length > 0)
      throw new Unfit('wants pairs of a key and a value')
    if (entries.has(key)) throw new Unfit(`has the key ${shown(key)} twice`)
    entries.set(key, value)
  }
  return { kind: 'dict', entries, hasAttributes: true }
}

function counter([counts]: readonly Value[]): Dict {
  if (counts === undefined) return { kind: 'dict', entries: new Map() }
  if (isKind(counts, 'dict')) return { kind: 'dict', entries: new Map(counts.entries) }
  throw new Unfit('wants a dict')
}

/** How protocol 2, which knows no bytes, writes them. */
function encoded([text, encoding]: readonly Value[]): Uint8Array {
  if (typeof text !== 'string' || encoding !== 'latin1') throw new Unfit('wants text in latin1')
  return latin1(text)
}

/** Of bytes, as protocol 3 writes it, or of text and its encoding, as protocol 2 does. */
function bytearray([content, encoding]: readonly Value[]): Uint8Array {
  if (content === undefined) return new Uint8Array()
  if (content instanceof Uint8Array && encoding === undefined) return content
  if (typeof content === 'string' && encoding === 'latin-1') return latin1(content)
  throw new Unfit('wants bytes, or text in latin-1')
}

function latin1(text: string): Uint8Array {
  if (!/^[\0-\xff]*$/.test(text)) throw new Unfit('wants text that is Latin-1')
  return Buffer.from(text, 'latin1')
}

function itemsOf(value: Value | undefined): readonly Value[] {
  if (isKind(value, 'list') || isKind(value, 'tuple')) return value.items
  throw new Unfit('wants a list or a tuple')
}

function dtypeOf(value: Value | undefined): DtypeName {
  if (isKind(value, 'dtype')) return value.name
  throw new Unfit('wants a dtype')
}

type View = Tensor | Refused

/** Storage, offset, size, stride, then whether it requires a gradient, its hooks, and signs of it where it has some. */
function rebuildTensor(args: readonly Value[]): View {
  const [, , , , requiresGradient, hooks, signs, ...more] = args
  if (more.length > 0) throw new Unfit('wants at most seven arguments')
  checkGradient(requiresGradient, hooks)
  return signed(tensor(args, undefined), signs)
}

/** The same with a dtype. */
function rebuildTensorOfType(args: readonly Value[]): View {
  const [, , , , requiresGradient, hooks, dtype, signs, ...more] = args
  if (more.length > 0) throw new Unfit('wants at most eight arguments')
  checkGradient(requiresGradient, hooks)
  return signed(tensor(args, dtypeOf(dtype)), signs)
}

/** Nothing of them is kept. */
function checkGradient(requiresGradient: Value | undefined, hooks: Value | undefined): void {
  if (typeof requiresGradient !== 'boolean' || (hooks !== null && !isKind(hooks, 'dict')))
    throw new Unfit('wants a truth and a dict of hooks')
}

/** Where its bytes are another tensor's and its numbers aren't: `{'conj': True}`, `{'neg': True}`. */
function signed(tensor: Tensor, signs: Value | undefined): View {
  if (signs === undefined || signs === null) return tensor
  if (!isKind(signs, 'dict')) throw new Unfit('wants a dict of signs')
  const isPlain = [...signs.entries.values()].every((sign) => sign === false)
  return isPlain ? tensor : refused('a conjugate or a negative of other bytes')
}

/** @param more whether it requires a gradient, its hooks, and attributes where it has some */
function parameter(data: Value | undefined, more: readonly Value[], wanted: number): View {
  const [requiresGradient, hooks, attributes] = more
  if (more.length !== wanted) throw new Unfit(`wants ${wanted + 1} arguments`)
  checkGradient(requiresGradient, hooks)
  checkAttributes(attributes)
  return tensorOf(data)
}

/** Attributes that are the numbers, and would be set like any other. */
const NUMBERS: readonly Value[] = ['data', 'real', 'imag']

/** A dict of them, or a pair of that and of what slots hold. */
function checkAttributes(attributes: Value | undefined): void {
  for (const part of isKind(attributes, 'tuple') ? attributes.items : [attributes])
    if (isKind(part, 'dict') && NUMBERS.some((name) => part.entries.has(name)))
      throw new Unfit('sets the numbers of a tensor anew')
}

/** Parameters and tensors of types are views of something that may already be refused. */
function tensorOf(value: Value | undefined): View {
  if (isKind(value, 'tensor') || isKind(value, 'refused')) return value
  throw new Unfit('wants a tensor')
}

function rebuildFromType([rebuild, type, args, attributes, ...more]: readonly Value[]): Value {
  if (!isKind(rebuild, 'global') || !isKind(args, 'tuple') || more.length > 0)
    throw new Unfit('wants a function of this list, a type, a tuple and attributes')
  if (!isKind(type, 'global') || !TENSOR_TYPES.has(nameOf(type)))
    return refused('a tensor of a subclass')
  const full = nameOf(rebuild)
  if (!full.startsWith('torch._utils._rebuild_'))
    throw new Unfit('wants a function that rebuilds a tensor')
  checkAttributes(attributes)
  return tensorOf(construct(full, args.items))
}

/** PyTorch has no tensor of more, and a size of a million numbers can be named a million times. */
const MAX_RANK = 64

function integersOf(value: Value | undefined): bigint[] {
  const items = itemsOf(value)
  if (items.length > MAX_RANK) throw new Unfit(`wants at most ${MAX_RANK} dimensions`)
  return items.map(integerOf)
}

function tensor(
  [storage, offset, size, stride]: readonly Value[],
  dtype: DtypeName | undefined,
): Tensor {
  if (!isKind(storage, 'storage')) throw new Unfit('wants a storage')
  const found = dtype ?? storage.dtype
  if (found === undefined) throw new Unfit('has no dtype')
  return {
    kind: 'tensor',
    storage,
    dtype: found,
    offset: integerOf(offset),
    shape: integersOf(size),
    strides: integersOf(stride),
  }
}

function integerOf(value: Value | undefined): bigint {
  if (typeof value === 'bigint') return value
  throw new Unfit('wants an integer')
}

const STORAGE_KEY = /^\d{1,20}$/

/** @param id what persistent ids are, in both of torch's formats: ('storage', class, key, location, count, …). */
export function storageOf(id: Value): Storage {
  if (!isKind(id, 'tuple')) throw new Unfit('wants a tuple')
  const [tag, type, key, , count, view, ...more] = id.items
  if (tag === 'module') throw new Unfit('is of a module, whose source it holds')
  if (tag !== 'storage' || !isKind(type, 'global') || more.length > 0)
    throw new Unfit('wants (‘storage’, class, key, location, count)')
  const dtype = storageClass(nameOf(type))
  if (dtype === undefined || typeof key !== 'string' || typeof count !== 'bigint' || count < 0n)
    throw new Unfit('wants (‘storage’, class, key, location, count)')
  if (!STORAGE_KEY.test(key)) throw new Unfit(`has a key that is no number, ${shown(key)}`)
  if (view !== undefined && view !== null) throw new Unfit('wants a storage that is no view')
  return { kind: 'storage', key, dtype: dtype ?? undefined, count }
}
