import type { MachineLimits, Unpickled } from './machine.ts'
import { unpickle } from './machine.ts'
import { PickleError } from './pickle-error.ts'
import { crc32 as checksum } from 'node:zlib'
import { ConversionRefused, UnknownClass } from './refused.ts'
import type { Source } from './source.ts'
import { readTorchZip, type TorchZip, type ZipLimits, type ZipRecord } from './torch-zip.ts'
import { isKind, type Opaque, shownName, type Storage, type Value } from './values.ts'
import { bytesOf } from './views.ts'

/** Where the bytes of a storage lie in the file. */
export interface StoragePlace {
  readonly begin: number
  readonly end: number
  /** Of archives, which have one. */
  readonly crc32: number | undefined
}

/** A checkpoint of PyTorch's, read as far as its pickle. */
export interface Checkpoint {
  readonly format: 'torch_zip' | 'torch_legacy'
  readonly value: Value
  readonly isBigEndian: boolean
  /** Of each storage that the pickle names, by key; of the length that the pickle says. */
  readonly places: ReadonlyMap<string, StoragePlace>
  readonly opaque: readonly Opaque[]
}

export interface CheckpointLimits extends MachineLimits, ZipLimits {
  readonly maxPickleBytes: number
}

export interface ReadOptions {
  readonly limits: CheckpointLimits
  readonly isOpaqueAllowed: boolean
}

/** Of records that only say how the archive was written. */
const MOST_NOTE_BYTES = 1024

/** An archive of torch.save. @throws {ConversionRefused} */
export function readZipCheckpoint(source: Source, options: ReadOptions): Checkpoint {
  const zip = readTorchZip(source, options.limits)
  checkVersion(source, recordOf(zip, 'version'))
  const isBigEndian = isBigEndianZip(source, zip)
  const pickle = recordBytes(source, recordOf(zip, 'data.pkl'), options.limits.maxPickleBytes)
  const { value, storages, opaque, end } = unpickled('data.pkl', pickle, 0, options)
  if (end < pickle.length)
    throw new ConversionRefused(
      'damaged',
      `data.pkl has ${pickle.length - end} bytes behind its STOP`,
    )
  const places = new Map<string, StoragePlace>()
  for (const storage of storages.values())
    places.set(storage.key, placeOf(storage, recordOf(zip, `data/${storage.key}`)))
  for (const [name, record] of zip.records) {
    if (name === 'data.pkl') continue
    if (!name.startsWith('data/')) checkNote(source, record)
    else if (!places.has(name.slice('data/'.length)))
      throw new ConversionRefused(
        'damaged',
        `its record ${JSON.stringify(name)} belongs to no tensor`,
      )
  }
  return { format: 'torch_zip', value, isBigEndian, places, opaque }
}

/** Of the archive's format: PyTorch reads these. */
const VERSION = /^(?:[1-9]|10)\n?$/

function checkVersion(source: Source, record: ZipRecord): void {
  const version = recordBytes(source, record, MOST_NOTE_BYTES).toString('latin1')
  if (!VERSION.test(version))
    throw new ConversionRefused('damaged', `its version is ${JSON.stringify(version)}`)
}

/** PyTorch reads them as text. */
function checkNote(source: Source, record: ZipRecord): void {
  if (!/^[\n\x20-\x7e]*$/.test(recordBytes(source, record, MOST_NOTE_BYTES).toString('latin1')))
    throw new ConversionRefused('damaged', `its record ${record.name} is no plain text`)
}

function recordOf({ root, records }: TorchZip, name: string): ZipRecord {
  const record = records.get(name)
  if (record === undefined)
    throw new ConversionRefused('damaged', `it has no record ${JSON.stringify(root + name)}`)
  return record
}

function placeOf(storage: Storage, { begin, end, crc32 }: ZipRecord): StoragePlace {
  if (BigInt(end - begin) !== bytesOf(storage))
    throw new ConversionRefused('damaged', `the storage ${storage.key} has ${end - begin} bytes in the archive and ${bytesOf(storage)} by the pickle`) // prettier-ignore
  return { begin, end, crc32 }
}

/** Older archives don't say: they were written where everything is little-endian. */
function isBigEndianZip(source: Source, { records }: TorchZip): boolean {
  const record = records.get('byteorder')
  if (record === undefined) return false
  const order = recordBytes(source, record, MOST_NOTE_BYTES).toString('latin1')
  if (order !== 'little' && order !== 'big')
    throw new ConversionRefused('damaged', `its byte order is ${JSON.stringify(order)}`)
  return order === 'big'
}

function recordBytes(source: Source, { name, begin, end, crc32 }: ZipRecord, most: number): Buffer {
  if (end - begin > most)
    throw new ConversionRefused(
      'limit',
      `${name} has ${end - begin} bytes; at most ${most} are read`,
    )
  const bytes = source.take(begin, end - begin)
  if (checksum(bytes) !== crc32) throw wrongChecksum(name)
  return bytes
}

export const wrongChecksum = (what: string): ConversionRefused =>
  new ConversionRefused('damaged', `${what} is not what its CRC-32 says`)

/** Its magic number, and the version of the format. */
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn
const LEGACY_VERSION = 1001n

/**
 * The format before 1.6: five pickles (magic number, version, the writer's system, the object, a list of keys), then of
 * each key its elements' number in 8 bytes and the elements, little-endian whatever the writer's system was.
 *
 * @throws {ConversionRefused}
 */
export function readLegacyCheckpoint(source: Source, options: ReadOptions): Checkpoint {
  const { maxPickleBytes } = options.limits
  const pickles = source.take(0, Math.min(source.sizeBytes, maxPickleBytes))
  let at = 0
  function next(entry: string): Unpickled {
    const found = unpickled(entry, pickles, at, options)
    at = found.end
    return found
  }
  if (
    next('the magic number').value !== LEGACY_MAGIC ||
    next('the version').value !== LEGACY_VERSION
  )
    throw new ConversionRefused(
      'not_a_checkpoint',
      'it does not begin as torch.save’s legacy format does',
    )
  next('the writer’s system')
  const { value, storages, opaque } = next('the object')
  const keys = next('the list of keys').value
  const places = new Map<string, StoragePlace>()
  for (const key of isKind(keys, 'list') ? keys.items : damagedKeys()) {
    const storage = typeof key === 'string' && !places.has(key) ? storages.get(key) : undefined
    if (storage === undefined) return damagedKeys()
    if (source.take(at, 8).readBigInt64LE() !== storage.count) return damagedKeys()
    const end = BigInt(at + 8) + bytesOf(storage)
    if (end > BigInt(source.sizeBytes))
      throw new ConversionRefused('damaged', `the file ends within the storage ${storage.key}`)
    places.set(storage.key, { begin: at + 8, end: Number(end), crc32: undefined })
    at = Number(end)
  }
  if (places.size < storages.size) return damagedKeys()
  if (at < source.sizeBytes)
    throw new ConversionRefused('damaged', `${source.sizeBytes - at} bytes follow its last storage`)
  return { format: 'torch_legacy', value, isBigEndian: false, places, opaque }
}

function damagedKeys(): never {
  throw new ConversionRefused('damaged', 'its storages are not those that its pickle names')
}

function unpickled(
  entry: string,
  pickle: Uint8Array,
  begin: number,
  options: ReadOptions,
): Unpickled {
  try {
    return unpickle(pickle, begin, options)
  } catch (error) {
    if (!(error instanceof PickleError)) throw error
    const { message, offset, facts } = error
    if (facts.isCutOff === true && pickle.length === options.limits.maxPickleBytes)
      throw new ConversionRefused('limit', `its pickles have more than ${pickle.length} bytes`, error) // prettier-ignore
    if (facts.global !== undefined) {
      const where = `${shownName(facts.global)} at ${entry}+${offset}${under(facts.path)}`
      throw new UnknownClass(where, error)
    }
    throw new ConversionRefused('pickle', `${entry}+${offset} ${message}`, error)
  }
}

const under = (path: readonly string[] = []): string =>
  path.length === 0 ? '' : ` under ${JSON.stringify(path.join('.'))}`
