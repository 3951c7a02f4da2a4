// One file to the disk. Whoever its bytes come from is trusted for nothing: each chunk is hashed as it arrives and
// compared with its leaf, the whole with the digest that the version's description gives.
//
//   part on disk:  | proven | proven | doubtful …         an earlier run's bytes are hashed again
//   then:                            ^ source.bytes       and the rest is brought from the first leaf that isn't there

import { createHash, hash, type Hash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { FilePath, Sha256 } from '../registry/names.ts'
import { UnreachableError, UntrustedError } from './failures.ts'
import { openExisting, openPart, type PartFile } from './part-file.ts'

export interface WantedFile {
  readonly path: FilePath
  readonly size: number
  readonly sha256: Sha256
}

/** Leaves in hex, one a chunk; the last chunk may be shorter. */
export interface Leaves {
  readonly chunk_size: number
  readonly leaves: readonly Sha256[]
  readonly size: number
  readonly sha256: Sha256
}

/** Where the bytes of one file come from. */
export interface ByteSource {
  /** From `begin`, where a chunk begins, to the end, and not a byte more. */
  bytes(begin: number): AsyncIterable<Uint8Array>
  /** The bytes that came for a chunk aren't its own. True where the next call of `bytes` gives others. */
  doubt(begin: number, end: number): boolean
}

/** Bytes of the file that are proven so far. */
export type OnProgress = (provenBytes: number) => void

/** Between attempts to go on after a lost connection; each starts over once bytes have come again. */
const PAUSES_MS = [200, 1000, 3000]
/** A chunk is held in memory until it is proven. */
const MAX_CHUNK_BYTES = 64 * 1024 * 1024
const READ_BYTES = 1024 * 1024

/** Whether all of the file is at `target` already. @throws {LocalError} */
export async function isPresent(target: string, file: WantedFile): Promise<boolean> {
  const existing = await openExisting(target)
  if (existing === undefined) return false
  try {
    const stat = await existing.stat()
    if (!stat.isFile() || stat.size !== file.size) return false
    const whole = createHash('sha256')
    const stream = existing.createReadStream({ autoClose: false, highWaterMark: READ_BYTES })
    for await (const chunk of stream) whole.update(chunk as Uint8Array)
    return whole.digest('hex') === file.sha256
  } finally {
    await existing.close()
  }
}

/**
 * Brings a file to the part beside `target`, durable and proven.
 *
 * @returns what gives the part its name; until then `target` is untouched
 * @throws {UntrustedError} for bytes that don't agree with their hashes, {UnreachableError} when the connection
 *   stays lost (the part stays for the next run), {RefusedError}, {LocalError}
 */
export async function pullFile(
  source: ByteSource,
  file: WantedFile,
  leaves: Leaves,
  target: string,
  onProgress: OnProgress,
): Promise<() => Promise<void>> {
  const part = await openPart(target, file.sha256)
  try {
    const proof: Proof = { whole: createHash('sha256'), provenBytes: 0 }
    await proveEarlier(part, leaves, proof, onProgress)
    await bringRest(source, file, leaves, part, proof, onProgress)
    if (proof.whole.digest('hex') !== file.sha256) {
      await part.discard()
      throw new UntrustedError('The file does not hash to its digest.', { path: file.path })
    }
    await part.seal(file.size)
    return part.appear
  } finally {
    await part.close()
  }
}

interface Proof {
  /** SHA-256 of the bytes before `provenBytes`. */
  readonly whole: Hash
  provenBytes: number
}

/** Hashes that can be those of this file, and take no more memory to check than they may. @throws {UntrustedError} */
export function checkLeaves(leaves: Leaves, { path, size, sha256 }: WantedFile): Leaves {
  const { chunk_size: chunkSize } = leaves
  const isPlausible =
    leaves.size === size &&
    leaves.sha256 === sha256 &&
    chunkSize > 0 &&
    chunkSize <= MAX_CHUNK_BYTES &&
    leaves.leaves.length === Math.ceil(size / chunkSize)
  if (!isPlausible) throw new UntrustedError("The hashes are not this file's.", { path })
  return leaves
}

/** Hashes an earlier run's bytes until a leaf is missing or doesn't hold. */
async function proveEarlier(
  part: PartFile,
  leaves: Leaves,
  proof: Proof,
  onProgress: OnProgress,
): Promise<void> {
  const chunk = Buffer.allocUnsafe(Math.min(leaves.chunk_size, leaves.size))
  while (proof.provenBytes < Math.min(part.sizeBytes, leaves.size)) {
    const length = chunkLength(leaves, proof.provenBytes)
    const bytes = chunk.subarray(0, length)
    if ((await part.read(bytes, proof.provenBytes)) < length) return
    if (!holds(leaves, proof.provenBytes, bytes)) return
    proof.whole.update(bytes)
    proof.provenBytes += length
    onProgress(proof.provenBytes)
  }
}

async function bringRest(
  source: ByteSource,
  file: WantedFile,
  leaves: Leaves,
  part: PartFile,
  proof: Proof,
  onProgress: OnProgress,
): Promise<void> {
  let failures = 0
  while (proof.provenBytes < file.size) {
    const before = proof.provenBytes
    try {
      await bringSome(source, file, leaves, part, proof, onProgress)
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error
      if (proof.provenBytes > before) failures = 0
      const pauseMs = PAUSES_MS[failures]
      if (pauseMs === undefined) throw error
      failures += 1
      await pause(pauseMs)
    }
  }
}

/** Until the end, or a chunk that has to come from elsewhere. */
async function bringSome(
  source: ByteSource,
  { path }: WantedFile,
  leaves: Leaves,
  part: PartFile,
  proof: Proof,
  onProgress: OnProgress,
): Promise<void> {
  const begin = proof.provenBytes
  for await (const chunk of chunked(source.bytes(begin), leaves, begin)) {
    const at = proof.provenBytes
    if (!holds(leaves, at, chunk)) {
      if (source.doubt(at, at + chunk.length)) return
      const facts = { path, chunk: at / leaves.chunk_size }
      throw new UntrustedError('Bytes arrived that do not match their hash.', facts)
    }
    await part.write(chunk, at)
    proof.whole.update(chunk)
    proof.provenBytes += chunk.length
    onProgress(proof.provenBytes)
  }
}

/** Bytes as they come → whole chunks. The buffer is used again for the next one. */
async function* chunked(
  bytes: AsyncIterable<Uint8Array>,
  leaves: Leaves,
  begin: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = Buffer.allocUnsafe(Math.min(leaves.chunk_size, leaves.size))
  let position = begin
  let filled = 0
  for await (const piece of bytes) {
    let taken = 0
    while (taken < piece.length) {
      const length = chunkLength(leaves, position)
      const some = piece.subarray(taken, taken + length - filled)
      buffer.set(some, filled)
      filled += some.length
      taken += some.length
      if (filled < length) continue
      yield buffer.subarray(0, length)
      position += length
      filled = 0
    }
  }
}

const chunkLength = ({ chunk_size: chunkSize, size }: Leaves, position: number): number =>
  Math.min(chunkSize, size - position)

const holds = (
  { chunk_size: chunkSize, leaves }: Leaves,
  position: number,
  bytes: Uint8Array,
): boolean => hash('sha256', bytes, 'hex') === leaves[position / chunkSize]
