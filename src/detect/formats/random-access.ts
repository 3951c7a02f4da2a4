import type { FileHandle } from 'node:fs/promises'
import { onDisk, readFully } from '../../client/disk.ts'
import { refuseAt } from '../open/members.ts'

const PIECE_BYTES = 1024 * 1024

/** A local file that is read here and there. */
export interface RandomAccess {
  readonly sizeBytes: number
  /** These bytes, all of them. */
  readonly take: (begin: number, length: number) => Promise<Buffer>
  /** The same in pieces of at most 1 MiB. */
  readonly stream: (begin: number, end: number) => AsyncGenerator<Buffer>
}

/** @throws {LocalError} in its functions; {DetectorRefused} where the file is shorter than it was */
export function randomAccessTo(handle: FileHandle, path: string, sizeBytes: number): RandomAccess {
  async function take(begin: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length)
    const read = await onDisk(path, () => readFully(handle, bytes, begin))
    return read === length ? bytes : refuseAt('file', `ends at byte ${begin + read}, too early`)
  }

  async function* stream(begin: number, end: number): AsyncGenerator<Buffer> {
    for (let at = begin; at < end; at += PIECE_BYTES)
      yield await take(at, Math.min(PIECE_BYTES, end - at))
  }

  return { sizeBytes, take, stream }
}
