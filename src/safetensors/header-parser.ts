// The header's grammar, a byte at a time: JSON of exactly the format's shape, so nothing recurses and the
// first byte that can't belong to a valid header is where it ends.
//
//   { "__metadata__": { key: value, … }, name: { "dtype": …, "shape": [ … ], "data_offsets": [ … ] }, … } spaces
//   └ TOP             └ METADATA               └ ENTRY                └ ARRAY
//
// A level says where we are, `expect` what comes next there; space between tokens is JSON's.

import { createColumnsBuilder, mostTensors, nameAt } from './columns.ts'
import type { HeaderColumns } from './columns.ts'
import { createEntry } from './entry.ts'
import type { EntryKey } from './entry.ts'
import { createIntegerReader } from './json-integer.ts'
import { createStringReader } from './json-string.ts'
import { createNameIndex } from './name-index.ts'
import { SafetensorsError } from './safetensors-error.ts'
import type { Reason } from './safetensors-error.ts'

/** What a header says, valid but for the tiling of tensors that don't come in the order of their bytes. */
export interface ParsedHeader {
  readonly metadata: Readonly<Record<string, string>>
  readonly hasMetadata: boolean
  /** Elements of all tensors. */
  readonly parameters: number
  readonly columns: HeaderColumns
  /** Whether each tensor begins where the one before it ends, the first at the start of data. */
  readonly isInOrder: boolean
  /** Where the last byte of the last tensor ends, absolute in the file. */
  readonly dataEnd: number
}

export interface HeaderParser {
  /** Reads header bytes `from` to `to` of a chunk; `offset` is where in the file `from` lies. Throws. */
  write(chunk: Uint8Array, from: number, to: number, offset: number): void
  /** Every byte of the header was written. Throws when it isn't complete. */
  end(): ParsedHeader
}

const MAX_NAME_BYTES = 4096
const MAX_METADATA_KEYS = 65_536
/** Keys and values of `__metadata__` together, in UTF-8: they are held as strings. */
const MAX_METADATA_BYTES = 16 * 1024 * 1024
/** Longer than any key or dtype of an entry. */
const MAX_WORD_BYTES = 16

const SPACE = 0x20
const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

// Levels
const TOP = 0
const METADATA = 1
const ENTRY = 2

// What comes next
const FIRST_KEY = 0
const KEY = 1
const AFTER_KEY = 2
const VALUE = 3
const AFTER_VALUE = 4
const FIRST_ITEM = 5
const ITEM = 6
const DIGITS = 7
const AFTER_ITEM = 8
const PADDING = 9

/** Bytes with which a JSON value begins: what else stands there isn't JSON. */
const VALUE_STARTS: ReadonlySet<number> = new Set(new TextEncoder().encode('"{[-0123456789tfn'))

/**
 * A parser of the header of `headerBytes` (N) whose first byte, `{`, was read already.
 * Memory: the columns, a table of the names' hashes, and the metadata.
 */
export function createHeaderParser(headerBytes: number, maxTensors: number): HeaderParser {
  const dataBegin = 8 + headerBytes
  const columns = createColumnsBuilder(headerBytes, maxTensors)
  const addToIndex = createNameIndex(columns, mostTensors(headerBytes, maxTensors))
  const metadata: Record<string, string> = Object.create(null) as Record<string, string>
  let hasMetadata = false
  let metadataKeys = 0
  let metadataBytes = 0
  let metadataKey = ''
  let parameters = 0
  let isInOrder = true
  let previousEnd = dataBegin
  let dataEnd = dataBegin

  let level = TOP
  let expect = FIRST_KEY
  /** Below the top: whether the object of the level has begun, or is the value to come. */
  let isMapOpen = false
  /** Of the entry being read: its key before the value to come, and whether it has a name yet. */
  let entryKey: EntryKey = 'dtype'
  let isNamed = false
  /** Where in the file the chunk begins, and which of its bytes is being read. */
  let base = 0
  let index = 0

  const integer = createIntegerReader()
  const string = createStringReader(
    Math.max(MAX_NAME_BYTES, Math.min(headerBytes, MAX_METADATA_BYTES)),
    refuse,
    tooLong,
    (i) => {
      index = i
    },
  )
  const entry = createEntry(
    dataBegin,
    (dim) => {
      columns.addDim(dim)
    },
    refuse,
  )

  function refuse(reason: Reason, sentence: string): never {
    const offset = base + index
    const tensor = isNamed ? nameAt(columns, columns.count - 1) : undefined
    throw new SafetensorsError(reason, `${sentence} (byte ${offset})`, { offset, tensor })
  }

  /** A byte that no JSON has there. */
  function unexpected(byte: number): never {
    const isNeverUtf8 = (byte >= 0x80 && byte < 0xc2) || byte > 0xf4
    return isNeverUtf8
      ? refuse('header_not_utf8', 'a byte of the header is not UTF-8')
      : refuse('header_not_json', 'the header is not JSON of the format')
  }

  function tooLong(): never {
    if (level === METADATA)
      return refuse('header_too_large', `__metadata__ takes more than ${MAX_METADATA_BYTES} bytes`)
    if (level === TOP)
      return refuse('tensor_entry_invalid', `a name takes more than ${MAX_NAME_BYTES} bytes`)
    return expect === KEY
      ? refuse('tensor_entry_invalid', 'an entry has a key that the format does not know')
      : refuse('unknown_dtype', 'the dtype is not one of the format')
  }

  function openString() {
    const room = MAX_METADATA_BYTES - metadataBytes
    string.open(level === TOP ? MAX_NAME_BYTES : level === METADATA ? room : MAX_WORD_BYTES)
  }

  function readString(chunk: Uint8Array, from: number, to: number): number {
    const i = string.read(chunk, from, to)
    index = i - 1
    if (!string.isOpen) closeString()
    return i
  }

  function closeString() {
    if (expect !== KEY) {
      closeValueString()
      expect = AFTER_VALUE
      return
    }
    if (level === TOP) closeName()
    else if (level === METADATA) closeMetadataKey()
    else entryKey = entry.key(string.bytes, string.length)
    expect = AFTER_KEY
  }

  function closeName() {
    if (string.length === 0) refuse('empty_name', 'a tensor has no name')
    if (isMetadataName()) {
      if (hasMetadata) refuse('duplicate_key', '__metadata__ stands twice in the header')
      hasMetadata = true
      level = METADATA
      return
    }
    if (columns.count === maxTensors)
      refuse('too_many_tensors', `the header names more than ${maxTensors} tensors`)
    columns.addName(string.bytes, string.length)
    isNamed = true
    if (string.hasControl) refuse('tensor_entry_invalid', 'a name holds a control character')
    if (!addToIndex(columns.count - 1)) refuse('duplicate_key', 'two tensors have the same name')
    level = ENTRY
  }

  function isMetadataName(): boolean {
    return string.length === 12 && string.bytes[0] === 0x5f && string.text() === '__metadata__'
  }

  function closeMetadataKey() {
    metadataKeys += 1
    if (metadataKeys > MAX_METADATA_KEYS)
      refuse('header_too_large', `__metadata__ has more than ${MAX_METADATA_KEYS} keys`)
    metadataBytes += string.length
    metadataKey = string.text()
    if (metadataKey in metadata) refuse('duplicate_key', 'a key stands twice in __metadata__')
  }

  function closeValueString() {
    if (level === METADATA) {
      metadataBytes += string.length
      metadata[metadataKey] = string.text()
    } else entry.dtype(string.bytes, string.length)
  }

  function openMap(byte: number) {
    if (byte !== OPEN_BRACE)
      refuse(
        level === METADATA ? 'metadata_not_strings' : 'tensor_entry_invalid',
        level === METADATA ? '__metadata__ is not an object' : 'an entry is not an object',
      )
    if (level === ENTRY) entry.open()
    isMapOpen = true
    expect = FIRST_KEY
  }

  function openValue(byte: number) {
    if (!VALUE_STARTS.has(byte)) unexpected(byte)
    if (!isMapOpen) {
      openMap(byte)
      return
    }
    if (level === METADATA) {
      if (byte !== QUOTE) refuse('metadata_not_strings', 'a value of __metadata__ is not a string')
      openString()
    } else if (entryKey === 'dtype') {
      if (byte !== QUOTE) refuse('tensor_entry_invalid', 'dtype is not a string')
      openString()
    } else {
      if (byte !== OPEN_BRACKET) refuse('tensor_entry_invalid', `${entryKey} is not an array`)
      expect = FIRST_ITEM
    }
  }

  function closeMap() {
    if (level === TOP) {
      expect = PADDING
      return
    }
    if (level === ENTRY) closeEntry()
    level = TOP
    isMapOpen = false
    expect = AFTER_VALUE
  }

  function closeEntry() {
    const { code, begin, end, elements } = entry.close()
    columns.addEntry(code, begin, end)
    isNamed = false
    parameters += elements
    if (begin !== previousEnd) isInOrder = false
    previousEnd = end
    if (end > dataEnd) dataEnd = end
  }

  function openItem(byte: number) {
    // Deeper than the format is, so not its grammar; other values are of a wrong type.
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET || !VALUE_STARTS.has(byte)) unexpected(byte)
    if (integer.open(byte) !== 'more') notAnInteger()
    expect = DIGITS
  }

  function notAnInteger(): never {
    const reason = entryKey === 'shape' ? 'shape_invalid' : 'offsets_invalid'
    return refuse(reason, `${entryKey} wants integers from 0 to 2^53 − 1, spelt as such`)
  }

  function nextDigit(byte: number) {
    const digit = integer.next(byte)
    if (digit === 'more') return
    if (digit === 'not_json') unexpected(byte)
    if (digit !== 'end') notAnInteger()
    entry.integer(integer.value)
    expect = AFTER_ITEM
    if (!isSpace(byte)) step(byte)
  }

  function closeArray() {
    entry.closeArray()
    expect = AFTER_VALUE
  }

  function step(byte: number) {
    switch (expect) {
      case FIRST_KEY:
      case KEY:
        if (byte === CLOSE_BRACE && expect === FIRST_KEY) {
          closeMap()
          break
        }
        if (byte !== QUOTE) unexpected(byte)
        expect = KEY
        openString()
        break
      case AFTER_KEY:
        if (byte !== COLON) unexpected(byte)
        expect = VALUE
        break
      case VALUE:
        openValue(byte)
        break
      case AFTER_VALUE:
        if (byte === COMMA) expect = KEY
        else if (byte === CLOSE_BRACE) closeMap()
        else unexpected(byte)
        break
      case FIRST_ITEM:
      case ITEM:
        if (byte === CLOSE_BRACKET && expect === FIRST_ITEM) closeArray()
        else openItem(byte)
        break
      case AFTER_ITEM:
        if (byte === COMMA) expect = ITEM
        else if (byte === CLOSE_BRACKET) closeArray()
        else unexpected(byte)
        break
      default:
        refuse('header_not_json', 'only spaces may follow the closing brace')
    }
  }

  return {
    write(chunk, from, to, offset) {
      base = offset - from
      let i = from
      while (i < to) {
        if (string.isOpen) {
          i = readString(chunk, i, to)
          continue
        }
        const byte = chunk[i] ?? 0
        index = i
        i += 1
        if (expect === DIGITS) nextDigit(byte)
        else if (expect === PADDING ? byte !== SPACE : !isSpace(byte)) step(byte)
      }
    },
    end() {
      if (expect !== PADDING) refuse('header_not_json', 'the header ends before its closing brace')
      return {
        metadata,
        hasMetadata,
        parameters,
        columns: columns.finish(),
        isInOrder,
        dataEnd,
      }
    },
  }
}

/** JSON's white space. */
function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}
