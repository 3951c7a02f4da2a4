import { ConversionRefused } from './refused.ts'
import type { Source } from './source.ts'
import {
  CENTRAL,
  CENTRAL_BYTES,
  END,
  END_64,
  END_64_BYTES,
  END_BYTES,
  IN_ZIP64,
  LOCAL,
  LOCAL_BYTES,
  LOCATOR_64,
  LOCATOR_64_BYTES,
  uint64,
  zip64Of,
} from '../zip-format.ts'

// A ZIP archive as torch.save writes it since 1.6 (PyTorchFileWriter over miniz; fields as in PKWARE's APPNOTE.TXT 4.3):
//
//     local header · name · padding · bytes · descriptor    of each record, the first one at 0
//     central header · name · extra                         of each record
//     ZIP64 end record · its locator · end record           the last 98 bytes
//
// Everything is stored, and the parts tile the file: torch itself passes over most of what is refused here (the last of two
// records of a name, names that differ by case, compressed records, a wrong CRC-32, bytes before, between and behind), and
// what two readers take for two files is no file.

const DESCRIPTOR = 0x08074b50

const DESCRIPTOR_BYTES = 16
const DESCRIPTOR_64_BYTES = 24
const TAIL_BYTES = END_64_BYTES + LOCATOR_64_BYTES + END_BYTES

/** Sizes and CRC-32 follow the bytes. */
const HAS_DESCRIPTOR = 0x8
const NAME_IS_UTF8 = 0x800
const STORED = 0

export interface ZipLimits {
  readonly maxRecords: number
  readonly maxDirectoryBytes: number
}

export interface ZipRecord {
  /** Without the root folder. */
  readonly name: string
  readonly crc32: number
  /** Where its bytes lie in the file. */
  readonly begin: number
  readonly end: number
}

export interface TorchZip {
  /** The folder that all names begin with. */
  readonly root: string
  /** By name. */
  readonly records: ReadonlyMap<string, ZipRecord>
}

/** The records of an archive of torch's. @throws {ConversionRefused} */
export function readTorchZip(source: Source, limits: ZipLimits): TorchZip {
  const { entries, begin: directory } = readDirectory(source, limits)
  const root = rootOf(entries)
  const records = new Map<string, ZipRecord>()
  const folded = new Set<string>()
  let next = 0
  for (const [i, entry] of entries.entries()) {
    const name = nameBelow(root, entry.name)
    if (folded.has(name.toLowerCase()))
      refuse(entry.name, 'is there twice, but for its case perhaps')
    folded.add(name.toLowerCase())
    if (entry.header !== next)
      refuse(entry.name, `begins at ${entry.header}, not at ${next}, where the one before ends`)
    next = entries[i + 1]?.header ?? directory
    records.set(name, { name, crc32: entry.crc32, ...placeOf(source, entry, next) })
  }
  return { root, records }
}

interface Entry {
  readonly name: string
  readonly flags: number
  readonly crc32: number
  readonly sizeBytes: number
  /** Where its local header begins. */
  readonly header: number
}

interface Directory {
  /** In the order of their bytes. */
  readonly entries: readonly Entry[]
  readonly begin: number
}

function readDirectory(source: Source, limits: ZipLimits): Directory {
  const { count, begin, length } = readTail(source)
  if (count > limits.maxRecords || length > limits.maxDirectoryBytes)
    throw new ConversionRefused('limit', `its directory has ${count} records in ${length} bytes; at most ${limits.maxRecords} in ${limits.maxDirectoryBytes} are read`) // prettier-ignore
  const bytes = source.take(begin, length)
  const entries: Entry[] = []
  let next = 0
  for (let i = 0; i < count; i += 1) {
    if (next + CENTRAL_BYTES > length || bytes.readUInt32LE(next) !== CENTRAL) return damaged()
    const end = next + CENTRAL_BYTES + bytes.readUInt16LE(next + 28) + bytes.readUInt16LE(next + 30) + bytes.readUInt16LE(next + 32) // prettier-ignore
    if (end > length) return damaged()
    entries.push(entryOf(bytes.subarray(next, end)))
    next = end
  }
  if (next !== length) return damaged()
  entries.sort((a, b) => a.header - b.header)
  return { entries, begin }
}

const damaged = (): never => {
  throw new ConversionRefused('damaged', 'its ZIP directory is damaged')
}

function readTail(source: Source): { count: number; begin: number; length: number } {
  if (source.sizeBytes < TAIL_BYTES) return notTorch()
  const at = source.sizeBytes - TAIL_BYTES
  const bytes = source.take(at, TAIL_BYTES)
  const locator = bytes.subarray(END_64_BYTES)
  const end = locator.subarray(LOCATOR_64_BYTES)
  if (
    bytes.readUInt32LE(0) !== END_64 ||
    locator.readUInt32LE(0) !== LOCATOR_64 ||
    end.readUInt32LE(0) !== END
  )
    return notTorch()
  const [count, length, begin] = [uint64(bytes, 32), uint64(bytes, 40), uint64(bytes, 48)]
  const agrees = (short: number, most: number, long: number): boolean =>
    short === most || short === long
  if (
    uint64(bytes, 4) !== END_64_BYTES - 12 ||
    uint64(bytes, 16) !== 0 ||
    uint64(bytes, 24) !== count ||
    locator.readUInt32LE(4) !== 0 ||
    uint64(locator, 8) !== at ||
    locator.readUInt32LE(16) !== 1 ||
    begin + length !== at ||
    end.readUInt32LE(4) !== 0 ||
    end.readUInt16LE(20) !== 0 ||
    end.readUInt16LE(8) !== end.readUInt16LE(10) ||
    !agrees(end.readUInt16LE(10), 0xffff, count) ||
    !agrees(end.readUInt32LE(12), IN_ZIP64, length) ||
    !agrees(end.readUInt32LE(16), IN_ZIP64, begin)
  )
    return damaged()
  return { count, begin, length }
}

const notTorch = (): never => {
  throw new ConversionRefused('damaged', 'it does not end as an archive of torch.save does: cut off, followed by other bytes, or written by something else') // prettier-ignore
}

const TORCHSCRIPT =
  /^[^/]+\/(?:constants\.pkl|attributes\.pkl|bytecode\.pkl|model\.json|code\/|extra\/)/

function entryOf(bytes: Buffer): Entry {
  const nameEnd = CENTRAL_BYTES + bytes.readUInt16LE(28)
  const name = nameIn(bytes.subarray(CENTRAL_BYTES, nameEnd))
  if (TORCHSCRIPT.test(name))
    throw new ConversionRefused(
      'not_a_checkpoint',
      `it is a TorchScript program (${JSON.stringify(name)}), not a checkpoint`,
    )
  const flags = bytes.readUInt16LE(8)
  if ((flags & ~(HAS_DESCRIPTOR | NAME_IS_UTF8)) !== 0)
    refuse(name, `has the flags 0x${flags.toString(16)}: torch writes 0x808`)
  if (bytes.readUInt16LE(10) !== STORED) refuse(name, 'is compressed: torch stores')
  if (bytes.readUInt16LE(32) !== 0) refuse(name, 'has a comment')
  const large = zip64Of(bytes.subarray(nameEnd, nameEnd + bytes.readUInt16LE(30)))
  const [sizeBytes = 0, stored = 0, header = 0] = [24, 20, 42].map((at) => {
    const small = bytes.readUInt32LE(at)
    return small === IN_ZIP64 ? (large.shift() ?? refuse(name, 'has no ZIP64 size')) : small
  })
  if (sizeBytes !== stored) refuse(name, 'has two sizes')
  return { name, flags, crc32: bytes.readUInt32LE(16), sizeBytes, header }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function nameIn(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new ConversionRefused('damaged', 'a name in its directory is not UTF-8')
  }
}

function rootOf(entries: readonly Entry[]): string {
  const [first] = entries
  const slash = first?.name.indexOf('/') ?? -1
  if (first === undefined || slash < 1)
    throw new ConversionRefused(
      'not_a_checkpoint',
      'it is a ZIP archive, but none of torch.save: its files lie in no folder',
    )
  const root = first.name.slice(0, slash + 1)
  if (!FOLDER.test(root)) refuse(first.name, 'lies in a folder of no plain name')
  return root
}

const FOLDER = /^(?!\.\.?\/$)[^\\\p{Cc}]+\/$/u
const RECORD =
  /^(?:data\.pkl|\.format_version|\.storage_alignment|byteorder|version|\.data\/serialization_id|data\/\d{1,20})$/

function nameBelow(root: string, name: string): string {
  if (!name.startsWith(root)) refuse(name, `lies outside of ${JSON.stringify(root)}`)
  const below = name.slice(root.length)
  if (!RECORD.test(below)) refuse(name, 'is not a record that torch.save writes')
  return below
}

/** Where the bytes of an entry lie, which is all that there is between its header and `limit`. */
function placeOf(
  source: Source,
  { name, flags, crc32, sizeBytes, header }: Entry,
  limit: number,
): { begin: number; end: number } {
  if (header + LOCAL_BYTES > limit) return refuse(name, 'lies over the next one')
  const local = source.take(header, LOCAL_BYTES)
  const nameLength = local.readUInt16LE(26)
  const begin = header + LOCAL_BYTES + nameLength + local.readUInt16LE(28)
  const end = begin + sizeBytes
  if (local.readUInt32LE(0) !== LOCAL || end > limit)
    return refuse(name, 'is not where it should be')
  const own = source.take(header + LOCAL_BYTES, nameLength)
  if (nameIn(own) !== name) return refuse(name, 'has another name where it lies')
  if (local.readUInt16LE(6) !== flags || local.readUInt16LE(8) !== STORED)
    return refuse(name, 'is stored in another way than its directory says')
  const isIn = (short: number, long: number): boolean =>
    short === 0 || short === IN_ZIP64 || short === long
  if (
    !isIn(local.readUInt32LE(14), crc32) ||
    !isIn(local.readUInt32LE(18), sizeBytes) ||
    !isIn(local.readUInt32LE(22), sizeBytes)
  )
    // prettier-ignore
    return refuse(name, 'has another size or CRC-32 where it lies')
  checkDescriptor(source, { name, flags, crc32, sizeBytes, header }, end, limit)
  return { begin, end }
}

function checkDescriptor(
  source: Source,
  { name, flags, crc32, sizeBytes }: Entry,
  end: number,
  limit: number,
): void {
  const length = limit - end
  if (length === 0 && (flags & HAS_DESCRIPTOR) === 0) return
  const isLong = length === DESCRIPTOR_64_BYTES
  if ((flags & HAS_DESCRIPTOR) === 0 || (length !== DESCRIPTOR_BYTES && !isLong))
    return refuse(name, `is followed by ${length} bytes that belong to nothing`)
  const bytes = source.take(end, length)
  const sizes = isLong
    ? [uint64(bytes, 8), uint64(bytes, 16)]
    : [bytes.readUInt32LE(8), bytes.readUInt32LE(12)]
  if (
    bytes.readUInt32LE(0) !== DESCRIPTOR ||
    bytes.readUInt32LE(4) !== crc32 ||
    sizes.some((size) => size !== sizeBytes)
  )
    refuse(name, 'has another size or CRC-32 behind it than in the directory')
}

const refuse = (name: string, sentence: string): never => {
  throw new ConversionRefused(
    'damaged',
    `its record ${JSON.stringify(name.slice(0, 100))} ${sentence}`,
  )
}
