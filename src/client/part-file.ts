// Where a download lies until all of it is proven:
//
//   DIR/sub/.NAME.0123456789abcdef.strongroom-part   its digest's beginning: two versions never share a part
//   DIR/sub/NAME                                     the same file, renamed
//
// DIR is the caller's; `sub` and NAME come from the server, so that no symbolic link below DIR is followed.

import { constants } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { FilePath, Sha256 } from '../registry/names.ts'
import { isCode, onDisk, readFully, syncFolder, unlessMissing, writeFully } from './disk.ts'
import { localErrorOf, misused } from './local-failure.ts'
import { makeFolders } from './new-folder.ts'

export interface PartFile {
  /** Bytes that are there, proven or not. */
  readonly sizeBytes: number
  /** Fills `into` from `position`; returns how many bytes there were. */
  read(into: Uint8Array, position: number): Promise<number>
  write(chunk: Uint8Array, position: number): Promise<void>
  /** Makes its first `sizeBytes` durable, and cuts off what follows. */
  seal(sizeBytes: number): Promise<void>
  /** Renames it, sealed and closed, to the final name. */
  readonly appear: () => Promise<void>
  /** Removes it: its bytes are not what they should be. */
  discard(): Promise<void>
  /** Leaves it for `appear`, or for the next run. */
  close(): Promise<void>
}

/** Where the file of a version goes below `folder`; makes the folders on the way. @throws {LocalError} */
export async function targetBelow(folder: string, path: FilePath): Promise<string> {
  await makeFolders(folder)
  let at = folder
  for (const part of dirname(path)
    .split('/')
    .filter((name) => name !== '.')) {
    at = join(at, part)
    await onDisk(at, () => mkdir(at).catch(unlessExists))
    const stat = await lstat(at)
    if (!stat.isDirectory()) throw misused(at, 'it is in the way and not a folder')
  }
  const target = join(at, basename(path))
  const stat = await lstat(target).catch(unlessMissing)
  if (stat?.isDirectory() === true) throw misused(target, 'a folder is in the way')
  return target
}

/**
 * Opens the part of `target` that an earlier run left, or a new one. Nothing is ever cut from its front: two runs
 * at once write the same proven bytes to the same places.
 *
 * @throws {LocalError}
 */
export async function openPart(target: string, sha256: Sha256): Promise<PartFile> {
  const folder = dirname(target)
  const path = join(folder, `.${basename(target)}.${sha256.slice(0, 16)}.strongroom-part`)
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW
  const file = await onDisk(path, () => open(path, flags, 0o666))
  const stat = await file.stat()
  if (!stat.isFile()) {
    await file.close()
    throw misused(path, 'it is in the way and not a file')
  }
  return {
    sizeBytes: stat.size,
    read: (into, position) => onDisk(path, () => readFully(file, into, position)),
    write: (chunk, position) => onDisk(path, () => writeFully(file, chunk, position)),
    async seal(sizeBytes) {
      await onDisk(path, () => file.truncate(sizeBytes))
      await onDisk(path, () => file.sync())
    },
    async appear() {
      await onDisk(target, () => rename(path, target))
      await syncFolder(folder)
    },
    discard: () => rm(path, { force: true }),
    close: () => file.close(),
  }
}

/** Opens what is already there under the final name, if it is a file and no link. */
export async function openExisting(target: string): Promise<FileHandle | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  try {
    return await open(target, flags)
  } catch (error) {
    if (isCode(error, ['ENOENT', 'ELOOP', 'EACCES', 'ENXIO'])) return undefined
    throw localErrorOf(target, error)
  }
}

function unlessExists(error: unknown): undefined {
  if (!isCode(error, ['EEXIST'])) throw error
}
