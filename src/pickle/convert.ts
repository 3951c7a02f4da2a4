import { fsyncSync, writeSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { createHeaderWriter } from '../safetensors/header-writer.ts'
import { looksLike } from '../safetensors/sniff.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { createValidator } from '../safetensors/stream.ts'
import { type Checkpoint, type CheckpointLimits, readLegacyCheckpoint, readZipCheckpoint, wrongChecksum } from './checkpoint.ts' // prettier-ignore
import { createViewReader } from './gather.ts'
import { type Plan, type PlannedTensor, planOf } from './plan.ts'
import { ConversionRefused } from './refused.ts'
import { isSafetensors, passThrough } from './pass-through.ts'
import { type Source, sourceOf } from './source.ts'
import { stateDictOf, type StateDictLimits } from './state-dict.ts'
import { nameOf, shown } from './values.ts'

export interface ConversionLimits extends CheckpointLimits, StateDictLimits {
  /** Of the new file, as a multiple of the old one's bytes, 64 MiB more. */
  readonly maxGrowth: number
}

export const DEFAULT_LIMITS: ConversionLimits = {
  maxPickleBytes: 64 * 1024 * 1024,
  maxOpcodes: 5_000_000,
  maxValues: 1_000_000,
  maxBuiltBytes: 512 * 1024 * 1024,
  maxStringBytes: 1024 * 1024,
  maxBytes: 64 * 1024 * 1024,
  maxTensors: 200_000,
  maxRecords: 300_000,
  maxDirectoryBytes: 64 * 1024 * 1024,
  maxDepth: 100,
  maxVisits: 5_000_000,
  maxScalarLength: 4096,
  maxTextLength: 32 * 1024 * 1024,
  maxGrowth: 2,
}

export interface ConversionOptions {
  /** Keys that lead to the weights, joined with dots; undefined to look for them. */
  readonly root: string | undefined
  readonly writesTiedTwice: boolean
  readonly isOpaqueAllowed: boolean
  readonly limits: ConversionLimits
}

/** What was made of a checkpoint. */
export interface Conversion {
  /** `safetensors`: it was one already, and every byte is as it was. */
  readonly format: Checkpoint['format'] | 'safetensors'
  readonly root: string
  readonly tensors: number
  readonly dataBytes: number
  /** Values that were in the checkpoint and are not in the file. */
  readonly dropped: readonly string[]
  /** Names that stood for the same bytes as another, and that one. */
  readonly tied: Readonly<Record<string, string>>
  /** Classes of objects that were left out unread, each once. */
  readonly opaque: readonly string[]
}

const SLACK_BYTES = 64 * 1024 * 1024
const PIECE_BYTES = 16 * 1024 * 1024

interface OpenFile {
  readonly fd: number
  readonly sizeBytes: number
}

/**
 * Makes a safetensors file of a checkpoint, reading it, running nothing of it. The same checkpoint gives the same bytes.
 * Once written they are read back: the file is judged by our own validator, each tensor compared with the checkpoint's.
 *
 * @param targetFd of an empty file, to read and write; on the disk when this returns.
 * @throws {ConversionRefused}
 */
export function convert(from: OpenFile, targetFd: number, options: ConversionOptions): Conversion {
  const source = sourceOf(from.fd, from.sizeBytes)
  if (isSafetensors(source)) {
    const facts = passThrough(source, (bytes, begin) => {
      writeAll(targetFd, bytes, begin)
    })
    fsyncSync(targetFd)
    return { format: 'safetensors', root: '', ...facts, dropped: [], tied: {}, opaque: [] }
  }
  const checkpoint = readCheckpoint(source, options)
  const stateDict = stateDictOf(checkpoint.value, options.root, options.limits)
  const maxDataBytes = from.sizeBytes * options.limits.maxGrowth + SLACK_BYTES
  const plan = planOf(stateDict, { writesTiedTwice: options.writesTiedTwice, maxDataBytes })
  const header = headerOf(plan)
  checkHeader(header, plan.dataBytes)
  writeAll(targetFd, header, 0)
  let at = header.length
  for (const bytes of allBytes(source, checkpoint, plan.tensors)) {
    writeAll(targetFd, bytes, at)
    at += bytes.length
  }
  fsyncSync(targetFd)
  checkStorages(source, checkpoint)
  checkWritten(sourceOf(targetFd, at), header, allBytes(source, checkpoint, plan.tensors))
  return {
    format: checkpoint.format,
    root: stateDict.root,
    tensors: plan.tensors.length,
    dataBytes: plan.dataBytes,
    dropped: stateDict.dropped,
    tied: Object.fromEntries(plan.tied),
    opaque: [...new Set(checkpoint.opaque.map(({ global }) => nameOf(global)))],
  }
}

const HEAD_BYTES = 512

/** By what its first bytes are, whatever the file is named. */
function readCheckpoint(source: Source, options: ConversionOptions): Checkpoint {
  const format = looksLike(source.take(0, Math.min(HEAD_BYTES, source.sizeBytes)))
  if (format === 'torch_zip') return readZipCheckpoint(source, options)
  if (format === 'torch_legacy') return readLegacyCheckpoint(source, options)
  throw new ConversionRefused(
    'not_a_checkpoint',
    `it is no checkpoint of torch.save: it looks like ${format}`,
  )
}

function headerOf({ tensors, metadata }: Plan): Uint8Array {
  const header = createHeaderWriter([...metadata])
  for (const { name, view } of tensors)
    header.add({ name, dtype: view.dtype, shape: view.shape, size: view.sizeBytes })
  return header.finish()
}

/** Names and shapes that PyTorch has and safetensors has not; judged before anything is written. */
function checkHeader(header: Uint8Array, dataBytes: number): void {
  try {
    createValidator({ fileBytes: header.length + dataBytes }).write(header)
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    const where = error.tensor === undefined ? '' : `, at the tensor ${shown(error.tensor)}`
    throw new ConversionRefused('tensor', `safetensors can’t hold it: ${error.message}${where}`, error) // prettier-ignore
  }
}

/** Of all tensors, one behind the other. */
function* allBytes(
  source: Source,
  { places, isBigEndian }: Checkpoint,
  tensors: readonly PlannedTensor[],
): Generator<Uint8Array> {
  const readView = createViewReader(source)
  for (const { view } of tensors) {
    const place = places.get(view.storage.key)
    if (place === undefined) throw new Error('a storage without a place')
    for (const bytes of readView(place.begin, view)) {
      if (isBigEndian) swap(bytes, view.dtype === 'C64' ? 4 : view.elementBytes)
      yield bytes
    }
  }
}

/** Turns each number round. */
function swap(bytes: Uint8Array, width: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (width === 2) buffer.swap16()
  else if (width === 4) buffer.swap32()
  else if (width === 8) buffer.swap64()
}

function writeAll(fd: number, bytes: Uint8Array, begin: number): void {
  for (let written = 0; written < bytes.length;)
    written += writeSync(fd, bytes, written, bytes.length - written, begin + written)
}

/** What the archive itself says of its bytes. */
function checkStorages(source: Source, { places }: Checkpoint): void {
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, source.sizeBytes))
  for (const [key, { begin, end, crc32: wanted }] of places) {
    if (wanted === undefined) continue
    let found = 0
    for (let at = begin; at < end; at += PIECE_BYTES) {
      const piece = buffer.subarray(0, Math.min(PIECE_BYTES, end - at))
      source.fill(piece, at)
      found = crc32(piece, found)
    }
    if (found !== wanted) throw wrongChecksum(`the storage ${key}`)
  }
}

/** @param wanted the bytes of the tensors, read anew */
function checkWritten(target: Source, header: Uint8Array, wanted: Iterable<Uint8Array>): void {
  const validator = createValidator({ fileBytes: target.sizeBytes })
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, target.sizeBytes))
  let at = 0
  function check(bytes: Uint8Array): void {
    const piece = buffer.subarray(0, bytes.length)
    target.fill(piece, at)
    if (Buffer.compare(piece, bytes) !== 0)
      throw new Error(`what was written is not what was read, from byte ${at} on`)
    validator.write(piece)
    at += bytes.length
  }
  for (let begin = 0; begin < header.length; begin += PIECE_BYTES)
    check(header.subarray(begin, begin + PIECE_BYTES))
  for (const bytes of wanted) check(bytes)
  validator.end()
}
