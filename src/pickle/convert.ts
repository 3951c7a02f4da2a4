import { writeSync } from 'node:fs'
import { createValidator } from '../safetensors/stream.ts'
import type { Checkpoint } from './checkpoint.ts'
import { createViewReader } from './gather.ts'
import { isSafetensors, passThrough } from './pass-through.ts'
import type { PlannedTensor } from './plan.ts'
import { readThrough } from './read-through.ts'
import { type Source, sourceOf } from './source.ts'
import { nameOf } from './values.ts'
import {
  type ConversionOptions,
  headerOf,
  readWeights,
  UNKNOWN_SHA256,
  type Weights,
} from './weights.ts'

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
  readonly sourceSha256: string
}

const PIECE_BYTES = 16 * 1024 * 1024

interface OpenFile {
  readonly fd: number
  readonly sizeBytes: number
}

/**
 * Makes a safetensors file of a checkpoint, reading it, running nothing of it. The same checkpoint gives the same bytes.
 * Once written they are read back: the file is judged by our own validator, each tensor compared with the checkpoint's.
 *
 * @param targetFd of an empty file, to read and write; to be synced by whoever gave it.
 * @throws {ConversionRefused}
 */
export function convert(from: OpenFile, targetFd: number, options: ConversionOptions): Conversion {
  const source = sourceOf(from.fd, from.sizeBytes)
  if (isSafetensors(source)) {
    return ofSafetensors(
      passThrough(source, (bytes, begin) => {
        writeAll(targetFd, bytes, begin)
      }),
    )
  }
  const weights = readWeights(source, options)
  const { checkpoint, plan } = weights
  let at = headerOf(plan, UNKNOWN_SHA256).length
  for (const bytes of allBytes(source, checkpoint, plan.tensors)) {
    writeAll(targetFd, bytes, at)
    at += bytes.length
  }
  const sourceSha256 = readThrough(source, checkpoint.places)
  const header = headerOf(plan, sourceSha256)
  writeAll(targetFd, header, 0)
  checkWritten(sourceOf(targetFd, at), header, allBytes(source, checkpoint, plan.tensors))
  return { ...factsOf(weights), sourceSha256 }
}

/** What `convert` would make of it, without writing. @throws {ConversionRefused} as it would */
export function judge(from: OpenFile, options: ConversionOptions): Conversion {
  const source = sourceOf(from.fd, from.sizeBytes)
  if (isSafetensors(source)) return ofSafetensors(passThrough(source, () => undefined))
  const weights = readWeights(source, options)
  const sourceSha256 = readThrough(source, weights.checkpoint.places)
  return { ...factsOf(weights), sourceSha256 }
}

type Facts = Omit<Conversion, 'sourceSha256'>

const factsOf = ({ checkpoint, stateDict, plan }: Weights): Facts => ({
  format: checkpoint.format,
  root: stateDict.root,
  tensors: plan.tensors.length,
  dataBytes: plan.dataBytes,
  dropped: stateDict.dropped,
  tied: Object.fromEntries(plan.tied),
  opaque: [...new Set(checkpoint.opaque.map(({ global }) => nameOf(global)))],
})

const ofSafetensors = (facts: ReturnType<typeof passThrough>): Conversion => ({
  format: 'safetensors',
  root: '',
  ...facts,
  dropped: [],
  tied: {},
  opaque: [],
})

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
