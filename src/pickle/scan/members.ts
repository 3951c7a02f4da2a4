import { gunzipSync, inflateRawSync, inflateSync } from 'node:zlib'
import { looksLike } from '../../safetensors/sniff.ts'
import { partOf, type Source, sourceOfBytes } from '../source.ts'
import { zipEntries, type ZipEntriesLimits, type ZipEntry } from './zip-entries.ts'

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

/** Unpacks what holds files: archives of ZIP and tar, and what zlib or gzip compressed, as joblib does. */
export function createUnpacker(
  limits: MembersLimits,
  note: (what: string) => void,
): (entry: string, source: Source, first: Uint8Array) => Iterable<Member> {
  let inflated = 0

  function unpack(
    name: string,
    packed: () => Buffer,
    inflate: (packed: Buffer, options: { maxOutputLength: number }) => Buffer,
  ): Source | undefined {
    const most = Math.min(limits.maxEntryBytes, limits.maxInflatedBytes - inflated)
    try {
      const bytes = inflate(packed(), { maxOutputLength: Math.max(1, most) })
      inflated += bytes.length
      return sourceOfBytes(bytes)
    } catch {
      note(`${name} could not be unpacked`)
      return undefined
    }
  }

  function ofEntry(source: Source, { name, method, isEncrypted, begin, storedBytes }: ZipEntry) {
    const length = Math.max(0, Math.min(storedBytes, source.sizeBytes - begin))
    if (isEncrypted) note(`${name} is encrypted`)
    if (method === 0) return partOf(source, begin, length)
    return unpack(
      name,
      () => source.take(begin, Math.min(length, limits.maxEntryBytes)),
      inflateRawSync,
    )
  }

  return function* members(entry, source, first) {
    for (const found of zipEntries(source, limits)) {
      const inner = ofEntry(source, found)
      if (inner !== undefined) yield { name: found.name, source: inner }
    }
    const form = looksLike(first)
    if (form === 'tar') yield* tarMembers(source, limits.maxRecords)
    const isZlib = first[0] === 0x78 && ZLIB_LEVELS.includes(first[1] ?? 0)
    if (form !== 'gzip' && !isZlib) return
    const whole = (): Buffer => source.take(0, Math.min(source.sizeBytes, limits.maxEntryBytes))
    const inner = unpack(entry || 'it', whole, isZlib ? inflateSync : gunzipSync)
    if (inner !== undefined) yield { name: '', source: inner }
  }
}

/** Second bytes of zlib's header (RFC 1950 §2.2) behind the usual window. */
const ZLIB_LEVELS: readonly number[] = [0x01, 0x5e, 0x9c, 0xda]

const BLOCK_BYTES = 512
const SIZE_AT = 124
const SIZE_LENGTH = 12

/** Headers and files in blocks of 512 bytes, as far as their sizes make sense (POSIX.1-2017 pax, ustar). */
function* tarMembers(source: Source, most: number): Generator<Member> {
  for (let at = 0, count = 0; at + BLOCK_BYTES <= source.sizeBytes && count < most; count += 1) {
    const header = source.take(at, BLOCK_BYTES)
    const name = header.toString('utf8', 0, 100).replace(/\0.*$/s, '')
    const size = parseInt(header.toString('latin1', SIZE_AT, SIZE_AT + SIZE_LENGTH).trim(), 8)
    if (name === '' || Number.isNaN(size)) return
    const begin = at + BLOCK_BYTES
    yield { name, source: partOf(source, begin, Math.min(size, source.sizeBytes - begin)) }
    at = begin + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES
  }
}
