import { writeSync } from 'node:fs'
import { createValidator } from '../safetensors/stream.ts'
import type { Checkpoint, StoragePlace } from './checkpoint.ts'
import { type Copy, createCopier } from './copier.ts'
import { createViewReader } from './gather.ts'
import { isSafetensors, passThrough } from './pass-through.ts'
import type { PlannedTensor } from './plan.ts'
import { READ_BYTES, readThrough } from './read-through.ts'
import { refusePickle } from './refuse-pickle.ts'
import { type Source, sourceOf } from './source.ts'
import { nameOf } from './values.ts'
import { isContiguous, type View } from './views.ts'
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
    refusePickle(source)
    return ofSafetensors(
      passThrough(source, (bytes, begin) => {
        writeAll(targetFd, bytes, begin)
      }),
    )
  }
  const weights = readWeights(source, options)
  const { checkpoint, plan } = weights
  const write = (bytes: Uint8Array, begin: number): void => {
    writeAll(targetFd, bytes, begin)
  }
  const bytesOf = createTensorReader(source, checkpoint)
  const sourceSha256 = writeTensors(source, weights, bytesOf, write)
  const header = headerOf(plan, sourceSha256)
  write(header, 0)
  checkWritten(sourceOf(targetFd, header.length + plan.dataBytes), header, plan.tensors, bytesOf)
  return { ...factsOf(weights), sourceSha256 }
}

/**
 * Tensors that lie in one piece are copied while the checkpoint is read from end to end, the others put together then.
 *
 * @returns the checkpoint's SHA-256
 */
function writeTensors(
  source: Source,
  { checkpoint, plan }: Weights,
  bytesOf: TensorReader,
  write: (bytes: Uint8Array, begin: number) => void,
): string {
  const { places, isBigEndian } = checkpoint
  const copies: Copy[] = []
  const others: { readonly view: View; readonly to: number }[] = []
  let to = headerOf(plan, UNKNOWN_SHA256).length
  for (const { view } of plan.tensors) {
    const from = placeOf(view, places).begin + view.beginByte
    if (isContiguous(view) && !isBigEndian) copies.push({ from, to, sizeBytes: view.sizeBytes })
    else others.push({ view, to })
    to += view.sizeBytes
  }
  const sourceSha256 = readThrough(source, places, createCopier(copies, write))
  for (const { view, to: begin } of others) {
    let at = begin
    for (const bytes of bytesOf(view)) {
      write(bytes, at)
      at += bytes.length
    }
  }
  return sourceSha256
}

/** What `convert` would make of it, without writing. @throws {ConversionRefused} as it would */
export function judge(from: OpenFile, options: ConversionOptions): Conversion {
  const source = sourceOf(from.fd, from.sizeBytes)
  if (isSafetensors(source)) {
    refusePickle(source)
    return ofSafetensors(passThrough(source, () => undefined))
  }
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

/** The bytes of a tensor as they are to be written, in pieces, each of them gone when the next is asked for. */
type TensorReader = (view: View) => Generator<Uint8Array>

function createTensorReader(source: Source, { places, isBigEndian }: Checkpoint): TensorReader {
  const readView = createViewReader(source)
  return function* (view) {
    for (const bytes of readView(placeOf(view, places).begin, view)) {
      if (isBigEndian) swap(bytes, view.dtype === 'C64' ? 4 : view.elementBytes)
      yield bytes
    }
  }
}

function placeOf({ storage }: View, places: Checkpoint['places']): StoragePlace {
  const place = places.get(storage.key)
  if (place === undefined) throw new Error('a storage without a place')
  return place
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

/** Reads the new file from its begin to its end, and the tensors of the checkpoint anew. */
function checkWritten(
  target: Source,
  header: Uint8Array,
  tensors: readonly PlannedTensor[],
  bytesOf: TensorReader,
): void {
  const validator = createValidator({ fileBytes: target.sizeBytes })
  const buffer = new Uint8Array(Math.min(READ_BYTES, target.sizeBytes))
  let [begin, end] = [0, 0]

  function check(wanted: Uint8Array, at: number): void {
    for (let checked = 0; checked < wanted.length;) {
      if (at + checked === end) readOn()
      const length = Math.min(wanted.length - checked, end - at - checked)
      const piece = buffer.subarray(at + checked - begin, at + checked - begin + length)
      if (Buffer.compare(piece, wanted.subarray(checked, checked + length)) !== 0)
        throw new Error(`what was written is not what was read, from byte ${at + checked} on`)
      checked += length
    }
  }

  function readOn(): void {
    begin = end
    end = Math.min(begin + buffer.length, target.sizeBytes)
    const piece = buffer.subarray(0, end - begin)
    target.fill(piece, begin)
    validator.write(piece)
  }

  check(header, 0)
  let at = header.length
  for (const { view } of tensors)
    for (const bytes of bytesOf(view)) {
      check(bytes, at)
      at += bytes.length
    }
  validator.end()
}
