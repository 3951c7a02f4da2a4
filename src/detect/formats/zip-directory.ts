import { refuseAt } from '../open/members.ts'
import type { RandomAccess } from './random-access.ts'
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

// A ZIP archive as numpy.savez writes it (PKWARE's APPNOTE.TXT 4.3):
//
//     local header · name · extra · data      of each member, one after the other
//     central header · name · extra           of each member
//     [ZIP64 end record · its locator]        where the archive has more than 4 GiB
//     end record                              the last 22 bytes: no comment
//
// What counts is the central directory; each member must lie where it says, and none over another.

/** Bit 3: sizes follow the data; bit 11: the name is UTF-8. Neither changes how a member is read here. */
const KNOWN_FLAGS = 0b1000_0000_1000
const STORED = 0
const DEFLATED = 8

const MAX_MEMBERS = 64
const MAX_DIRECTORY_BYTES = 64 * 1024

export interface ZipMember {
  readonly name: string
  readonly isDeflated: boolean
  readonly crc32: number
  /** Where its data lies in the archive. */
  readonly begin: number
  readonly end: number
  /** Once inflated. */
  readonly sizeBytes: number
}

/** The members of an archive, in the order of their data. @throws {DetectorRefused} */
export async function readZipDirectory(file: RandomAccess): Promise<readonly ZipMember[]> {
  const { members, at } = await readCentral(file)
  members.sort((a, b) => a.header - b.header)
  let free = 0
  const found: ZipMember[] = []
  for (const member of members) {
    if (member.header < free) refuse(member.name, 'lies over another member')
    found.push(await locate(file, member, at))
    free = found.at(-1)?.end ?? 0
  }
  if (new Set(found.map(({ name }) => name)).size < found.length)
    refuseAt('file', 'has two members of one name')
  return found
}

interface CentralMember extends Omit<ZipMember, 'begin' | 'end'> {
  /** Where its local header begins. */
  readonly header: number
  readonly storedBytes: number
}

async function readCentral(file: RandomAccess): Promise<{ members: CentralMember[]; at: number }> {
  const { count, at, length } = await readEnd(file)
  if (count > MAX_MEMBERS || length > MAX_DIRECTORY_BYTES)
    refuseAt('file', `has more than ${MAX_MEMBERS} members`)
  const directory = await file.take(at, length)
  const members: CentralMember[] = []
  let next = 0
  for (let i = 0; i < count; i += 1) {
    if (next + CENTRAL_BYTES > length || directory.readUInt32LE(next) !== CENTRAL)
      refuseAt('file', 'has a damaged ZIP directory')
    const end = next + CENTRAL_BYTES + lengthsAfter(directory, next + 28, 3)
    if (end > length) refuseAt('file', 'has a damaged ZIP directory')
    members.push(readMember(directory.subarray(next, end)))
    next = end
  }
  if (next !== length) refuseAt('file', 'has a damaged ZIP directory')
  return { members, at }
}

/** The sum of some 16-bit lengths. */
function lengthsAfter(bytes: Buffer, at: number, count: number): number {
  return Array.from({ length: count }, (_, i) => bytes.readUInt16LE(at + 2 * i)).reduce(
    (sum, each) => sum + each,
    0,
  )
}

interface Place {
  readonly count: number
  readonly at: number
  readonly length: number
}

async function readEnd(file: RandomAccess): Promise<Place> {
  if (file.sizeBytes < END_BYTES) return refuseAt('file', 'is no whole ZIP archive')
  const begin = file.sizeBytes - END_BYTES
  const end = await file.take(begin, END_BYTES)
  if (end.readUInt32LE(0) !== END || end.readUInt16LE(20) !== 0)
    refuseAt('file', 'does not end as a ZIP archive without comment does')
  const place = {
    count: end.readUInt16LE(10),
    length: end.readUInt32LE(12),
    at: end.readUInt32LE(16),
  }
  const isLarge = place.at === IN_ZIP64 || place.count === 0xffff
  const { limit, ...found } = isLarge ? await readEnd64(file, begin) : { ...place, limit: begin }
  if (found.at + found.length !== limit)
    refuseAt('file', 'has bytes that its ZIP directory does not know')
  return found
}

async function readEnd64(file: RandomAccess, end: number): Promise<Place & { limit: number }> {
  const at = end - LOCATOR_64_BYTES - END_64_BYTES
  if (at < 0) return refuseAt('file', 'has no ZIP64 directory')
  const bytes = await file.take(at, END_64_BYTES + LOCATOR_64_BYTES)
  if (
    bytes.readUInt32LE(0) !== END_64 ||
    bytes.readUInt32LE(END_64_BYTES) !== LOCATOR_64 ||
    uint64(bytes, END_64_BYTES + 8) !== at
  )
    refuseAt('file', 'has a damaged ZIP64 directory')
  return { count: uint64(bytes, 32), length: uint64(bytes, 40), at: uint64(bytes, 48), limit: at }
}

function readMember(bytes: Buffer): CentralMember {
  const nameEnd = CENTRAL_BYTES + bytes.readUInt16LE(28)
  const name = bytes.toString('latin1', CENTRAL_BYTES, nameEnd)
  const method = bytes.readUInt16LE(10)
  if ((bytes.readUInt16LE(8) & ~KNOWN_FLAGS) !== 0) refuse(name, 'is encrypted, or not plain ZIP')
  if (method !== STORED && method !== DEFLATED)
    refuse(name, `is compressed by method ${method}, not by deflate`)
  const extra = bytes.subarray(nameEnd, nameEnd + bytes.readUInt16LE(30))
  const large = zip64Of(extra)
  const [sizeBytes = 0, storedBytes = 0, header = 0] = [24, 20, 42].map((at) => {
    const small = bytes.readUInt32LE(at)
    return small === IN_ZIP64 ? (large.shift() ?? refuse(name, 'has no ZIP64 sizes')) : small
  })
  if (method === STORED && sizeBytes !== storedBytes) refuse(name, 'has two sizes')
  return { name, isDeflated: method === DEFLATED, crc32: bytes.readUInt32LE(16), sizeBytes, storedBytes, header } // prettier-ignore
}

async function locate(
  file: RandomAccess,
  member: CentralMember,
  limit: number,
): Promise<ZipMember> {
  const { header, storedBytes, ...rest } = member
  if (header + LOCAL_BYTES > limit) return refuse(member.name, 'lies outside of the archive')
  const local = await file.take(header, LOCAL_BYTES)
  const begin = header + LOCAL_BYTES + lengthsAfter(local, 26, 2)
  const end = begin + storedBytes
  if (local.readUInt32LE(0) !== LOCAL || end > limit)
    refuse(member.name, 'is not where it should be')
  const name = await file.take(header + LOCAL_BYTES, local.readUInt16LE(26))
  if (name.toString('latin1') !== member.name) refuse(member.name, 'has another name where it lies')
  return { ...rest, begin, end }
}

const refuse = (name: string, sentence: string): never =>
  refuseAt(`member ${JSON.stringify(name.slice(0, 60))}`, sentence)
