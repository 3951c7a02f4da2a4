import { constants } from 'node:fs'
import { type FileHandle, lstat, open, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { onDisk, syncFolder } from '../../client/disk.ts'
import { misused } from '../../client/local-failure.ts'
import { renameNew } from '../../client/rename-new.ts'

/** The file that weights are taken from, open. */
export interface Original {
  readonly path: string
  readonly file: FileHandle
  readonly sizeBytes: number
  /** Who may read and write it. */
  readonly mode: number
  readonly isLink: boolean
  /** @throws {LocalError} where its name stands for something else by now, or it was written to. */
  readonly checkUnchanged: () => Promise<void>
}

/** @throws {LocalError} */
export async function openOriginal(path: string): Promise<Original> {
  // Opening a pipe that nobody writes to would wait for ever.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK
  const file = await onDisk(path, () => open(path, flags))
  const found = await file.stat({ bigint: true })
  if (!found.isFile()) {
    await file.close()
    throw misused(path, 'it is not a file')
  }
  return {
    path,
    file,
    sizeBytes: Number(found.size),
    mode: Number(found.mode) & 0o666,
    isLink: (await lstat(path)).isSymbolicLink(),
    async checkUnchanged() {
      const now = await onDisk(path, () => stat(path, { bigint: true }))
      const isSame = (['dev', 'ino', 'size', 'mtimeNs'] as const).every(
        (fact) => now[fact] === found[fact],
      )
      if (!isSame) throw misused(path, 'it changed since it was opened, and stays as it is')
    },
  }
}

export const backupOf = ({ path }: Original): string => `${path}.bak`

/** Renames it, or removes it. @throws {LocalError} */
export async function retire(original: Original, how: 'back_up' | 'delete'): Promise<void> {
  const { path } = original
  await original.checkUnchanged()
  if (how === 'back_up') await renameNew(path, backupOf(original))
  else await onDisk(path, () => unlink(path))
  await syncFolder(dirname(path))
}
