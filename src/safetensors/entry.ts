// One tensor's entry, {"dtype": …, "shape": […], "data_offsets": […]}: its keys in any order, each exactly
// once and nothing else, integers spelt as integers, and a size that agrees with the offsets.

import { bytesOfElements, dtypeCode } from './dtypes.ts'
import type { Reason } from './safetensors-error.ts'

/** Throws a refusal of the tensor being read. */
export type RefuseEntry = (reason: Reason, sentence: string) => never

export type EntryKey = 'dtype' | 'shape' | 'data_offsets'

export interface Entry {
  /** Forgets the entry before. */
  open(): void
  key(text: string): EntryKey
  dtype(text: string): void
  /** One element of the array that the last key announced. */
  integer(value: number): void
  closeArray(): void
  /** Ends the entry, complete and consistent; `begin` and `end` are absolute in the file. */
  close(): { code: number; begin: number; end: number; elements: number }
}

/** PyTorch and our own converter stop at 64 dimensions; no model comes near. */
const MAX_RANK = 64

const KEYS: ReadonlyMap<string, EntryKey> = new Map([
  ['dtype', 'dtype'],
  ['shape', 'shape'],
  ['data_offsets', 'data_offsets'],
])

/**
 * A reader of entries. Offsets in the header count from `dataBegin`; each element of a shape goes to
 * `addDim`; `refuse` throws.
 */
export function createEntry(
  dataBegin: number,
  addDim: (dim: number) => void,
  refuse: RefuseEntry,
): Entry {
  const seen = new Set<EntryKey>()
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
      seen.clear()
      rank = 0
      isEmpty = false
      product = 1
      offsets.count = 0
    },
    key(text) {
      const key = KEYS.get(text)
      if (key === undefined)
        return refuse('tensor_entry_invalid', 'an entry has a key that the format does not know')
      if (seen.has(key)) refuse('duplicate_key', `${key} stands twice in an entry`)
      seen.add(key)
      array = key
      return key
    },
    dtype(text) {
      code = dtypeCode(text) ?? refuse('unknown_dtype', 'the dtype is not one of the format')
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
      for (const key of KEYS.values())
        if (!seen.has(key)) refuse('tensor_entry_invalid', `an entry has no ${key}`)
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
