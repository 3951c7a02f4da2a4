import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { localErrorOf } from './local-failure.ts'

/** Runs what concerns the file or folder at `path`. @throws {LocalError} naming it */
export async function onDisk<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw localErrorOf(path, error)
  }
}

/** Fills `into` from `position`; returns how many bytes there were. */
export async function readFully(
  file: FileHandle,
  into: Uint8Array,
  position: number,
): Promise<number> {
  let filled = 0
  while (filled < into.length) {
    const { bytesRead } = await file.read(into, filled, into.length - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled
}

export async function writeFully(
  file: FileHandle,
  chunk: Uint8Array,
  position: number,
): Promise<void> {
  let written = 0
  while (written < chunk.length) {
    const { bytesWritten } = await file.write(
      chunk,
      written,
      chunk.length - written,
      position + written,
    )
    written += bytesWritten
  }
}

/** A rename is durable once its folder is; not every file system can say so of a folder. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await onDisk(folder, () => open(folder, constants.O_RDONLY))
  try {
    await handle.sync()
  } catch (error) {
    if (!isCode(error, ['EINVAL', 'ENOTSUP', 'EPERM'])) throw localErrorOf(folder, error)
  } finally {
    await handle.close()
  }
}

export const isCode = (error: unknown, codes: readonly string[]): boolean =>
  error instanceof Error && 'code' in error && codes.includes(String(error.code))

/** For `catch`: what isn't there is undefined. */
export function unlessMissing(error: unknown): undefined {
  if (!isCode(error, ['ENOENT'])) throw error
}
