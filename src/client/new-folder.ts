import { lstat, mkdir, rmdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isCode, onDisk, unlessMissing } from './disk.ts'
import { localErrorOf, misused } from './local-failure.ts'

/**
 * Makes a folder and those above it that are missing. Node's own `recursive` tries for ever where there is a folder
 * that says of every new one that there is none to make it in, as `/proc` does.
 *
 * @returns the folders that it made, the innermost first
 * @throws {LocalError} naming the folder that can't be made; then none is left
 */
export async function makeFolders(folder: string): Promise<readonly string[]> {
  const made: string[] = []
  try {
    for (const missing of (await pathDown(folder)).slice(1))
      if (await makeOne(missing)) made.unshift(missing)
    if (!(await onDisk(folder, () => stat(folder))).isDirectory())
      throw misused(folder, 'it is not a folder')
  } catch (error) {
    await removeEmpty(made)
    throw error
  }
  return made
}

/** From the first folder that there is, at or above `folder`, down to it. @throws {LocalError} */
export async function pathDown(folder: string): Promise<readonly [string, ...string[]]> {
  const below: string[] = []
  let at = folder
  // What is at the top lies in itself.
  while (at !== dirname(at) && (await isMissing(at))) {
    below.unshift(at)
    at = dirname(at)
  }
  return [at, ...below]
}

/** Folders that were made for nothing, the innermost first. */
export async function removeEmpty(folders: readonly string[]): Promise<void> {
  for (const folder of folders) {
    try {
      await rmdir(folder)
    } catch {
      return
    }
  }
}

/** @returns whether it did; somebody else may have been faster */
async function makeOne(folder: string): Promise<boolean> {
  try {
    await mkdir(folder)
    return true
  } catch (error) {
    if (isCode(error, ['EEXIST'])) return false
    if (isCode(error, ['ENOENT'])) throw misused(folder, 'no folder can be made there')
    throw localErrorOf(folder, error)
  }
}

const isMissing = async (path: string): Promise<boolean> =>
  (await onDisk(path, () => lstat(path).catch(unlessMissing))) === undefined
