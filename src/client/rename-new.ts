import { link, lstat, rename, rm, unlink } from 'node:fs/promises'
import { isCode, onDisk, unlessMissing } from './disk.ts'
import { type LocalError, localErrorOf, misused } from './local-failure.ts'

/** Of file systems without hard links, or that forbid this one. */
const NO_LINK = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV']

/** Gives a file another name in its folder, never one that is taken. @throws {LocalError} */
export async function renameNew(from: string, to: string): Promise<void> {
  try {
    // Unlike a rename, a second name never takes another file's place.
    await link(from, to)
  } catch (error) {
    if (isCode(error, ['EEXIST'])) throw taken(to)
    if (!isCode(error, NO_LINK)) throw localErrorOf(to, error)
    if ((await lstat(to).catch(unlessMissing)) !== undefined) throw taken(to)
    await onDisk(to, () => rename(from, to))
    return
  }
  try {
    await unlink(from)
  } catch (error) {
    await rm(to, { force: true })
    throw localErrorOf(from, error)
  }
}

const taken = (path: string): LocalError => misused(path, 'there is something of this name already')
