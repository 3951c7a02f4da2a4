import { constants } from 'node:fs'
import { type FileHandle, lstat, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { FilePath } from '../registry/names.ts'
import { readFully } from './disk.ts'
import type { WantedFile } from './pull-file.ts'

/** A file of an earlier version that the caller says to have; nothing of it is believed until it is hashed. */
export interface BaseFile {
  /** Fills `into` from `position`; with zeros where the file has shrunk or can't be read, which no hash accepts. */
  read(into: Uint8Array, position: number): Promise<void>
  close(): Promise<void>
}

/**
 * The version's file below `folder`, for reading, or why it can't be used. No link is followed below the folder,
 * and the file stays open: a pull that renames another into its place takes nothing away.
 */
export async function openBaseFile(folder: string, wanted: WantedFile): Promise<BaseFile | string> {
  const file = await openBelow(folder, wanted.path)
  if (typeof file === 'string') return file
  const stat = await file.stat()
  if (stat.isFile() && stat.size === wanted.size) {
    return { read: (into, position) => fill(file, into, position), close: () => file.close() }
  }
  await file.close()
  return stat.isFile() ? 'it has another size' : 'it is not a file'
}

async function openBelow(folder: string, path: FilePath): Promise<FileHandle | string> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
  try {
    let at = folder
    for (const part of dirname(path)
      .split('/')
      .filter((name) => name !== '.')) {
      at = join(at, part)
      if (!(await lstat(at)).isDirectory()) return 'a part of its path is not a folder'
    }
    return await open(join(folder, path), flags)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    if (code === undefined) throw error
    return REASONS[code] ?? `it can't be opened: ${code}`
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'it is not there',
  ELOOP: 'it is a symbolic link, which is not followed',
  EACCES: 'permission denied',
}

async function fill(file: FileHandle, into: Uint8Array, position: number): Promise<void> {
  let filled = 0
  try {
    filled = await readFully(file, into, position)
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error
  }
  into.fill(0, filled)
}
