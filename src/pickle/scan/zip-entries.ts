import type { Source } from '../source.ts'
import {
  CENTRAL,
  CENTRAL_BYTES,
  END,
  END_64,
  END_BYTES,
  IN_ZIP64,
  LOCAL,
  LOCAL_BYTES,
  LOCATOR_64,
  uint64,
  zip64Of,
} from '../../zip-format.ts'

// What a reader of ZIP archives finds in a file: the members that the central directory lists. Nothing is refused, compressed
// members, comments and lies about places included: this reads archives that want to be misread.

const MAX_COMMENT_BYTES = 65_535

export interface ZipEntry {
  readonly name: string
  readonly method: number
  readonly isEncrypted: boolean
  /** Where its stored bytes begin, and how many they are said to be. */
  readonly begin: number
  readonly storedBytes: number
}

export interface ZipEntriesLimits {
  readonly maxRecords: number
  readonly maxDirectoryBytes: number
}

/** Members of the archive; empty where there is no directory. */
export function zipEntries(source: Source, limits: ZipEntriesLimits): ZipEntry[] {
  const place = findDirectory(source)
  if (place === undefined || place.begin > source.sizeBytes) return []
  const length = Math.min(place.length, limits.maxDirectoryBytes, source.sizeBytes - place.begin)
  const bytes = source.take(place.begin, Math.max(0, length))
  const entries: ZipEntry[] = []
  for (let at = 0; at + CENTRAL_BYTES <= bytes.length && entries.length < limits.maxRecords;) {
    if (bytes.readUInt32LE(at) !== CENTRAL) break
    const nameEnd = at + CENTRAL_BYTES + bytes.readUInt16LE(at + 28)
    const extraEnd = nameEnd + bytes.readUInt16LE(at + 30)
    const entry = entryOf(source, bytes.subarray(at, extraEnd), nameEnd - at)
    if (entry !== undefined) entries.push(entry)
    at = extraEnd + bytes.readUInt16LE(at + 32)
  }
  return entries
}

function entryOf(source: Source, central: Buffer, nameEnd: number): ZipEntry | undefined {
  const large = zip64Of(central.subarray(nameEnd))
  const wide = (at: number): number => {
    const short = central.readUInt32LE(at)
    return short === IN_ZIP64 ? (large.shift() ?? short) : short
  }
  wide(24)
  const storedBytes = wide(20)
  const header = wide(42)
  if (header + LOCAL_BYTES > source.sizeBytes) return undefined
  const local = source.take(header, LOCAL_BYTES)
  if (local.readUInt32LE(0) !== LOCAL) return undefined
  const begin = header + LOCAL_BYTES + local.readUInt16LE(26) + local.readUInt16LE(28)
  if (begin > source.sizeBytes) return undefined
  return {
    name: central.toString('utf8', CENTRAL_BYTES, nameEnd),
    method: central.readUInt16LE(10),
    isEncrypted: (central.readUInt16LE(8) & 1) !== 0,
    begin,
    storedBytes,
  }
}

function findDirectory(source: Source): { begin: number; length: number } | undefined {
  const tail = Math.min(source.sizeBytes, END_BYTES + MAX_COMMENT_BYTES)
  const bytes = source.take(source.sizeBytes - tail, tail)
  for (let at = tail - END_BYTES; at >= 0; at -= 1) {
    if (bytes.readUInt32LE(at) !== END) continue
    const long = at >= 20 && bytes.readUInt32LE(at - 20) === LOCATOR_64
    const found = long ? directory64(source, uint64(bytes, at - 12)) : undefined
    return found ?? { begin: bytes.readUInt32LE(at + 16), length: bytes.readUInt32LE(at + 12) }
  }
  return undefined
}

function directory64(source: Source, at: number): { begin: number; length: number } | undefined {
  if (at + 56 > source.sizeBytes) return undefined
  const bytes = source.take(at, 56)
  if (bytes.readUInt32LE(0) !== END_64) return undefined
  return { begin: uint64(bytes, 48), length: uint64(bytes, 40) }
}
