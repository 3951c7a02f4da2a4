import type { DtypeName } from './dtypes.ts'
import type { GlobalName } from './read-opcodes.ts'

// What a pickle can be made of here: data, and names of what is not there. A tuple isn't a list, bytes aren't a str, an int
// (bigint) isn't a float (number). Nothing of it can be called.

export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | List
  | Tuple
  | Dict
  | SetOf
  | Dtype
  | Storage
  | Tensor
  | Refused
  | Aside
  | Global
  | Opaque

export interface List {
  readonly kind: 'list'
  readonly items: Value[]
}

/** A torch.Size is one too. */
export interface Tuple {
  readonly kind: 'tuple'
  readonly items: readonly Value[]
}

/** An OrderedDict is one too, and a Counter. Keys that aren't strings or numbers are told apart by identity alone. */
export interface Dict {
  readonly kind: 'dict'
  readonly entries: Map<Value, Value>
  /** An OrderedDict's, which may be set; a plain dict has none. */
  readonly hasAttributes?: true
}

export interface SetOf {
  readonly kind: 'set'
  readonly items: readonly Value[]
}

/** `torch.float32`, as a value. */
export interface Dtype {
  readonly kind: 'dtype'
  readonly name: DtypeName
}

/** What a persistent id names: a run of bytes that lies outside of the pickle. */
export interface Storage {
  readonly kind: 'storage'
  readonly key: string
  /** Of an element; undefined for bytes without a type. */
  readonly dtype: DtypeName | undefined
  /** Elements, or bytes without a type. */
  readonly count: bigint
}

/** A view of a storage. Offset and strides in elements; nothing is checked yet. */
export interface Tensor {
  readonly kind: 'tensor'
  readonly storage: Storage
  readonly dtype: DtypeName
  readonly offset: bigint
  readonly shape: readonly bigint[]
  readonly strides: readonly bigint[]
}

/** A tensor of a kind that safetensors has none of: an obstacle only where it is wanted. */
export interface Refused {
  readonly kind: 'refused'
  readonly what: string
}

/** A device, a complex number or the like, which is no weight wherever it stands: of it only this is known. */
export interface Aside {
  readonly kind: 'aside'
  readonly what: string
}

/** A name on the list of what is known, not called yet. */
export interface Global extends GlobalName {
  readonly kind: 'global'
}

/** An object of a class that isn't known: with --opaque only. It takes whatever is put into it, and does nothing. */
export interface Opaque {
  readonly kind: 'opaque'
  readonly global: GlobalName
  /** Where its class is named. */
  readonly offset: number
}

export const nameOf = ({ module, name }: GlobalName): string => `${module}.${name}`

/** The same in a sentence: the file may have made it long. */
export const shownName = (global: GlobalName): string => nameOf(global).slice(0, 200)

type Tagged = Extract<Value, { readonly kind: string }>

export function isKind<K extends Tagged['kind']>(
  value: Value | undefined,
  kind: K,
): value is Extract<Tagged, { readonly kind: K }> {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind
}

/** A key, or any other value, in a sentence. */
export function shown(value: Value): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 80))
  if (value === null || typeof value !== 'object') return String(value)
  return value instanceof Uint8Array ? 'bytes' : `a ${value.kind}`
}
