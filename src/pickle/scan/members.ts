import { hasTarChecksum } from '../../safetensors/sniff-tar.ts'
import { partOf, type Source, sourceOfBytes } from '../source.ts'
import { createInflate, gunzip, gzipBegin, type Inflated } from './inflate.ts'
import { tarMembers } from './tar.ts'
import { mayBeZip, zipEntries, type ZipEntriesLimits, type ZipEntry } from './zip-entries.ts'

export interface MembersLimits extends ZipEntriesLimits {
  /** Of one member; what follows isn't looked at. */
  readonly maxEntryBytes: number
  /** Of all that is unpacked. */
  readonly maxInflatedBytes: number
}

/** A file in a file. */
export interface Member {
  /** Empty for the one that compression hides. */
  readonly name: string
  readonly source: Source
}

/** Whether there would be something to unpack. */
export const mayHoldFiles = (source: Source, first: Buffer): boolean =>
  mayBeZip(source, first) || hasTarChecksum(first) || isZlib(first) || gzipBegin(first, 0) !== undefined // prettier-ignore

const STORED = 0
const DEFLATED = 8

/**
 * Unpacks what holds files: archives of ZIP and tar, and what zlib or gzip compressed, as joblib does.
 *
 * @param miss told what could not be unpacked, or only in part
 */
export function createUnpacker(
  limits: MembersLimits,
  miss: (what: string) => void,
): (entry: string, source: Source, first: Buffer) => Iterable<Member> {
  const inflate = createInflate()
  let left = limits.maxInflatedBytes

  function unpack(
    name: string,
    packed: Source,
    read: (packed: Buffer, most: number) => Inflated,
    isGuess = true,
  ) {
    const most = Math.min(limits.maxEntryBytes, left)
    const bytes = packed.take(0, Math.min(packed.sizeBytes, limits.maxEntryBytes))
    const found = read(bytes, most)
    left -= found.bytes.length
    // What gives nothing may only look as if it were compressed.
    const isNone = isGuess && most > 0 && found.bytes.length === 0
    if (!isNone && (!found.isWhole || bytes.length < packed.sizeBytes))
      miss(`${name} was unpacked in part only`)
    return sourceOfBytes(found.bytes)
  }

  function ofEntry(source: Source, { name, method, isEncrypted, begin, storedBytes }: ZipEntry) {
    const length = Math.max(0, Math.min(storedBytes, source.sizeBytes - begin))
    const stored = partOf(source, begin, length)
    if (isEncrypted) miss(`${name} is encrypted`)
    if (method === DEFLATED) return unpack(name, stored, inflate, false)
    if (method !== STORED) miss(`${name} is compressed in a way that isn’t read`)
    return stored
  }

  return function* members(entry, source, first) {
    // Whoever appends an archive to another file has it at the end of the file itself.
    if (entry === '' || mayBeZip(source, first)) {
      const { entries, isWhole } = zipEntries(source, limits)
      if (!isWhole) miss(`${entry || 'it'} has more members than are looked into`)
      for (const found of entries) yield { name: found.name, source: ofEntry(source, found) }
    }
    if (hasTarChecksum(first)) yield* tarMembers(source)
    const unread = UNREAD.find(({ magic }) => magic.every((byte, i) => first[i] === byte))
    if (unread !== undefined) miss(`${entry || 'it'} is ${unread.what}, which is not unpacked here`)
    if (isZlib(first)) yield { name: '', source: unpack(entry || 'it', source, (packed, most) => inflate(packed.subarray(2), most)) } // prettier-ignore
    else if (gzipBegin(first, 0) !== undefined)
      yield { name: '', source: unpack(entry || 'it', source, (packed, most) => gunzip(packed, most, inflate)) } // prettier-ignore
  }
}

/** Second bytes of zlib's header (RFC 1950 §2.2) behind the usual window. */
const UNREAD: readonly { readonly what: string; readonly magic: readonly number[] }[] = [
  { what: 'bzip2', magic: [0x42, 0x5a, 0x68] },
  { what: 'xz', magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] },
  { what: 'lzma', magic: [0x5d, 0x00, 0x00, 0x80, 0x00, 0xff, 0xff, 0xff, 0xff] },
  { what: 'zstd', magic: [0x28, 0xb5, 0x2f, 0xfd] },
  { what: 'lz4', magic: [0x04, 0x22, 0x4d, 0x18] },
]

const ZLIB_LEVELS: readonly number[] = [0x01, 0x5e, 0x9c, 0xda]
const isZlib = (first: Buffer): boolean => first[0] === 0x78 && ZLIB_LEVELS.includes(first[1] ?? 0)
