import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LocalError, localErrorOf } from '../client/local-failure.ts'

/** A file, by its path below the folder; or a folder that can't be looked into, and why. */
export interface FileBelow {
  readonly path: string
  readonly trouble?: LocalError
}

/**
 * Files in a folder and the folders in it, by name. Links to files are followed, since caches of models are made of them; links
 * to folders are not.
 */
export async function* filesBelow(
  folder: string,
  { areHiddenFoldersTaken }: { readonly areHiddenFoldersTaken: boolean },
  below = '',
): AsyncGenerator<FileBelow, void, undefined> {
  const entries = await entriesOf(join(folder, below))
  if (!Array.isArray(entries)) {
    yield { path: below, trouble: entries.trouble }
    return
  }
  for (const entry of entries) {
    const path = join(below, entry.name)
    if (entry.isDirectory()) {
      if (areHiddenFoldersTaken || !entry.name.startsWith('.'))
        yield* filesBelow(folder, { areHiddenFoldersTaken }, path)
    } else if (await isFile(entry, join(folder, path))) yield { path }
  }
}

async function entriesOf(folder: string): Promise<Dirent[] | { readonly trouble: LocalError }> {
  try {
    const entries = await readdir(folder, { withFileTypes: true })
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  } catch (error) {
    const trouble = localErrorOf(folder, error)
    if (trouble instanceof LocalError) return { trouble }
    throw trouble
  }
}

/** A link that leads nowhere is taken for one: what it should be isn't there. */
async function isFile(entry: Dirent, path: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isFile()
  try {
    return (await stat(path)).isFile()
  } catch {
    return true
  }
}

/** @throws {LocalError} where there is nothing. */
export async function isFolder(local: string): Promise<boolean> {
  try {
    return (await stat(local)).isDirectory()
  } catch (error) {
    throw localErrorOf(local, error)
  }
}
