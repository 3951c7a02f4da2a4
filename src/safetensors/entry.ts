// One tensor's entry, {"dtype": …, "shape": […], "data_offsets": […]}: its keys in any order, each exactly
// once and nothing else, integers spelt as integers, and a size that agrees with the offsets.

import { DTYPE_NAMES, bytesOfElements } from './dtypes.ts'
import type { Reason } from './safetensors-error.ts'
import { createWords } from './words.ts'

/** Throws a refusal of the tensor being read. */
type RefuseEntry = (reason: Reason, sentence: string) => never

export type EntryKey = 'dtype' | 'shape' | 'data_offsets'

export interface Entry {
  /** Forgets the entry before. */
  open(): void
  /** A key, by the first `length` bytes of its name; the value that follows is of it. */
  key(name: Uint8Array, length: number): EntryKey
  dtype(name: Uint8Array, length: number): void
  /** One element of the array that the last key announced. */
  integer(value: number): void
  closeArray(): void
  /** Ends the entry, complete and consistent; `begin` and `end` are absolute in the file. */
  close(): { code: number; begin: number; end: number; elements: number }
}

/** PyTorch and our own converter stop at 64 dimensions; no model comes near. */
const MAX_RANK = 64

const KEYS: readonly EntryKey[] = ['dtype', 'shape', 'data_offsets']
const KEY_NAMES = createWords(KEYS)

/**
 * A reader of entries. Offsets in the header count from `dataBegin`; each element of a shape goes to
 * `addDim`; `refuse` throws.
 */
export function createEntry(
  dataBegin: number,
  addDim: (dim: number) => void,
  refuse: RefuseEntry,
): Entry {
  /** One bit a key, in the order of KEYS. */
  let seen = 0
  let array: EntryKey = 'shape'
  let code = 0
  let rank = 0
  let isEmpty = false
  /** Product of the dimensions but zeros, so that its overflow doesn't depend on their order. */
  let product = 1
  const offsets = { count: 0, begin: 0, end: 0 }

  function dim(value: number) {
    rank += 1
    if (rank > MAX_RANK) refuse('shape_invalid', `more than ${MAX_RANK} dimensions`)
    if (value === 0) isEmpty = true
    else product *= value
    if (product > Number.MAX_SAFE_INTEGER)
      refuse('shape_invalid', 'the shape has more elements than 2^53 − 1')
    addDim(value)
  }

  function offset(value: number) {
    offsets.count += 1
    if (offsets.count > 2)
      refuse('tensor_entry_invalid', 'data_offsets has more than a begin and an end')
    if (dataBegin + value > Number.MAX_SAFE_INTEGER)
      refuse('offsets_invalid', 'an offset lies beyond 2^53 − 1')
    if (offsets.count === 1) offsets.begin = value
    else offsets.end = value
    if (offsets.count === 2 && offsets.end < offsets.begin)
      refuse('offsets_invalid', `data_offsets end at ${offsets.end}, before ${offsets.begin}`)
  }

  /** Bytes of the shape; a shape that is empty must still be sound in its other dimensions. */
  function size(): number {
    if (bytesOfElements(code, product) === undefined && !isEmpty)
      refuse('shape_invalid', 'the shape does not fill whole bytes, or too many')
    return isEmpty ? 0 : (bytesOfElements(code, product) ?? 0)
  }

  return {
    open() {
      seen = 0
      rank = 0
      isEmpty = false
      product = 1
      offsets.count = 0
    },
    key(name, length) {
      const index = KEY_NAMES.find(name, length)
      const key = index === undefined ? undefined : KEYS[index]
      if (index === undefined || key === undefined)
        return refuse('tensor_entry_invalid', 'an entry has a key that the format does not know')
      if (seen & (1 << index)) refuse('duplicate_key', `${key} stands twice in an entry`)
      seen |= 1 << index
      array = key
      return key
    },
    dtype(name, length) {
      code =
        DTYPE_NAMES.find(name, length) ??
        refuse('unknown_dtype', 'the dtype is not one of the format')
    },
    integer(value) {
      if (array === 'shape') dim(value)
      else offset(value)
    },
    closeArray() {
      if (array === 'data_offsets' && offsets.count !== 2)
        refuse('tensor_entry_invalid', 'data_offsets wants a begin and an end')
    },
    close() {
      const missing = KEYS.find((_, index) => (seen & (1 << index)) === 0)
      if (missing !== undefined) refuse('tensor_entry_invalid', `an entry has no ${missing}`)
      const bytes = size()
      const { begin, end } = offsets
      if (bytes !== end - begin)
        refuse('size_mismatch', `the shape takes ${bytes} bytes, data_offsets give ${end - begin}`)
      return {
        code,
        begin: dataBegin + begin,
        end: dataBegin + end,
        elements: isEmpty ? 0 : product,
      }
    },
  }
}
