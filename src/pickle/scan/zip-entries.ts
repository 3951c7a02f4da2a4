import type { Source } from '../source.ts'
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
} from '../../zip-format.ts'

// What readers of ZIP archives find in a file: the members of every central directory that one of them would take. They
// differ in which end record counts, whether a ZIP64 record does and where it lies, and whether places are counted from
// where the file begins or from where the archive does. Nothing is refused: this reads archives that want to be misread.

const MAX_COMMENT_BYTES = 65_535
/** Of an end record among the last bytes, from the last one on. */
const MOST_SIGNATURES = 1000

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

/** Whether a file in another is worth a search for its end record: it begins or ends as an archive does. */
export function mayBeZip(source: Source, first: Buffer): boolean {
  if (first.length >= 4 && first.toString('latin1', 0, 2) === 'PK') return true
  if (source.sizeBytes < END_BYTES) return false
  return source.take(source.sizeBytes - END_BYTES, 4).readUInt32LE(0) === END
}

interface Directory {
  readonly begin: number
  readonly length: number
  /** Added to all places. */
  readonly shift: number
}

/** Members of the archive, of each place once; none where there is no directory. */
export function zipEntries(
  source: Source,
  limits: ZipEntriesLimits,
): { readonly entries: readonly ZipEntry[]; readonly isWhole: boolean } {
  const entries = new Map<string, ZipEntry>()
  let isWhole = true
  let read = 0
  for (const directory of directoriesOf(source)) {
    const length = Math.min(directory.length, limits.maxDirectoryBytes)
    if (length < directory.length) isWhole = false
    const bytes = source.take(directory.begin, length)
    for (let at = 0; at + CENTRAL_BYTES <= bytes.length;) {
      if (bytes.readUInt32LE(at) !== CENTRAL) break
      // Each may be in several directories.
      if (entries.size === limits.maxRecords || read === 4 * limits.maxRecords) {
        isWhole = false
        break
      }
      read += 1
      const nameEnd = at + CENTRAL_BYTES + bytes.readUInt16LE(at + 28)
      const extraEnd = nameEnd + bytes.readUInt16LE(at + 30)
      const entry = entryOf(source, bytes.subarray(at, extraEnd), nameEnd - at, directory.shift)
      if (entry !== undefined)
        entries.set(`${entry.begin} ${entry.storedBytes} ${entry.method}`, entry)
      at = extraEnd + bytes.readUInt16LE(at + 32)
    }
  }
  return { entries: [...entries.values()], isWhole }
}

function entryOf(
  source: Source,
  central: Buffer,
  nameEnd: number,
  shift: number,
): ZipEntry | undefined {
  const large = zip64Of(central.subarray(nameEnd))
  const wide = (at: number): number => {
    const short = central.readUInt32LE(at)
    return short === IN_ZIP64 ? (large.shift() ?? short) : short
  }
  wide(24)
  const storedBytes = wide(20)
  const header = wide(42) + shift
  if (header < 0 || header + LOCAL_BYTES > source.sizeBytes) return undefined
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

/** Directories by each end record, with and without a ZIP64 one, counted from the file's beginning and the archive's. */
function directoriesOf(source: Source): readonly Directory[] {
  const tail = Math.min(source.sizeBytes, END_BYTES + MAX_COMMENT_BYTES)
  const bytes = source.take(source.sizeBytes - tail, tail)
  const found: Directory[] = []
  let at = bytes.lastIndexOf(END_SIGNATURE)
  for (let isLast = true, looked = 0; at >= 0 && looked < MOST_SIGNATURES; looked += 1) {
    // The last one, or that whose comment reaches to the end: an archive in an archive has its own.
    if (at + END_BYTES <= tail) {
      const isAtEnd = at + END_BYTES + bytes.readUInt16LE(at + 20) === tail
      if (isLast || isAtEnd) found.push(...directoriesBefore(source, source.sizeBytes - tail + at))
      isLast = false
    }
    at = at === 0 ? -1 : bytes.lastIndexOf(END_SIGNATURE, at - 1)
  }
  const places = new Map(found.map((each) => [`${each.begin} ${each.shift}`, each]))
  return [...places.values()]
}

const END_SIGNATURE = Buffer.from('PK\x05\x06', 'latin1')

/** @param end where the end record begins */
function directoriesBefore(source: Source, end: number): Directory[] {
  const record = source.take(end, END_BYTES)
  const claims = [{ begin: record.readUInt32LE(16), length: record.readUInt32LE(12), end }]
  const locator = end - LOCATOR_64_BYTES
  if (locator >= 0) {
    const bytes = source.take(locator, LOCATOR_64_BYTES)
    if (bytes.readUInt32LE(0) === LOCATOR_64)
      // Where the locator says, and right before it.
      for (const place of [uint64(bytes, 8), locator - END_64_BYTES])
        claims.push(...directory64(source, place))
  }
  return claims.flatMap(({ begin, length, end: next }) => {
    const shift = next - length - begin
    const inFile = { begin, length: Math.min(length, source.sizeBytes - begin), shift: 0 }
    const inArchive = { begin: begin + shift, length, shift }
    return [inFile, inArchive].filter((each) => each.begin >= 0 && each.length > 0)
  })
}

function directory64(
  source: Source,
  place: number,
): { begin: number; length: number; end: number }[] {
  if (place < 0 || place + END_64_BYTES > source.sizeBytes) return []
  const bytes = source.take(place, END_64_BYTES)
  if (bytes.readUInt32LE(0) !== END_64) return []
  return [{ begin: uint64(bytes, 48), length: uint64(bytes, 40), end: place }]
}
