import { randomBytes } from 'node:crypto'
import { closeSync, constants, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createPrivate } from './connect.ts'

/** What SQLite may leave beside a database that it didn't get to close. */
const COMPANIONS = ['', '-journal', '-wal', '-shm']

/**
 * Puts a file in place all at once, and durably: `fill` writes an empty one (0600) beside it, whose name is the last
 * thing to change. What fails, or is given up, leaves nothing behind and an older file as it was.
 */
export async function replaceFile<T>(
  path: string,
  fill: (temporary: string) => Promise<T>,
): Promise<T> {
  const folder = dirname(path)
  const temporary = join(folder, `.strongroom-${randomBytes(8).toString('hex')}`)
  try {
    createPrivate(temporary)
    const result = await fill(temporary)
    sync(temporary, constants.O_RDONLY)
    renameSync(temporary, path)
    sync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
    return result
  } finally {
    for (const suffix of COMPANIONS) rmSync(temporary + suffix, { force: true })
  }
}

function sync(path: string, flags: number): void {
  const descriptor = openSync(path, flags)
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
