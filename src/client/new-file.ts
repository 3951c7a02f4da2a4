import { randomBytes } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { onDisk, syncFolder, unlessMissing, writeFully } from './disk.ts'
import { misused } from './local-failure.ts'
import { makeFolders } from './new-folder.ts'

/**
 * Writes a file that appears under its name once all of `chunks` came and none of it was refused; otherwise nothing
 * is left.
 *
 * @throws {LocalError}, and whatever `chunks` throws
 */
export async function writeNewFile(
  target: string,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  // What is renamed over a device would take its place.
  if ((await statOf(target))?.isFile() === false) throw misused(target, 'it is not a file')
  const { path, file } = await openNewPart(target, 0o666)
  try {
    await writeAll(path, file, chunks)
    await onDisk(target, () => rename(path, target))
    await syncFolder(dirname(target))
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
}

/** A new file in the folder of `target`, which is to get its name. @param mode less the umask @throws {LocalError} */
export async function openNewPart(
  target: string,
  mode: number,
): Promise<{ path: string; file: FileHandle }> {
  const unique = randomBytes(8).toString('hex')
  const path = join(dirname(target), `.${basename(target)}.${unique}.strongroom-part`)
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL
  return { path, file: await onDisk(target, () => open(path, flags, mode)) }
}

async function writeAll(
  path: string,
  file: FileHandle,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  try {
    let position = 0
    for await (const chunk of chunks) {
      const at = position
      await onDisk(path, () => writeFully(file, chunk, at))
      position += chunk.length
    }
    await onDisk(path, () => file.sync())
  } finally {
    await file.close()
  }
}

const statOf = (path: string): Promise<Stats | undefined> =>
  onDisk(path, () => stat(path).catch(unlessMissing))

/** `given`, or `name` inside it where it is a folder or, ending in a slash, is to be one. @throws {LocalError} */
export async function targetAt(given: string, name: string): Promise<string> {
  if (given.endsWith('/')) await makeFolders(given)
  const found = await statOf(given)
  return found?.isDirectory() === true ? join(given, name) : given
}

const MAX_NAME_CHARACTERS = 100

/** A tensor's name as a file's: it may be long, begin with a dot, or look like a path. */
export const fileNameOf = (name: string): string =>
  name
    .replace(/[^A-Za-z0-9._+-]/g, '_')
    .replace(/^[.-]/, '_')
    .slice(0, MAX_NAME_CHARACTERS)
