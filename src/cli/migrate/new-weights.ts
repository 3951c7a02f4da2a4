import { access, constants, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { onDisk, syncFolder } from '../../client/disk.ts'
import { openNewPart } from '../../client/new-file.ts'
import { makeFolders, pathDown, removeEmpty } from '../../client/new-folder.ts'
import { readSafetensors } from '../../client/read-safetensors.ts'
import { renameNew } from '../../client/rename-new.ts'
import type { Converted } from '../../pickle/job/messages.ts'
import type { Sha256 } from '../../registry/names.ts'
import { readWeights, type Wanted } from './engine.ts'
import type { Original } from './original.ts'

/** What a safetensors file is, once read from end to end. */
export interface Weights {
  readonly sha256: Sha256
  readonly sizeBytes: number
  readonly tensors: number
  readonly metadata: Readonly<Record<string, string>>
}

/** @throws {SafetensorsError}, {LocalError} */
export async function weightsAt(path: string, signal: AbortSignal): Promise<Weights> {
  const { header, sha256 } = await readSafetensors(path, () => {
    signal.throwIfAborted()
  })
  const { fileBytes, columns, metadata } = header
  return { sha256, sizeBytes: fileBytes, tensors: columns.count, metadata }
}

interface Made {
  readonly converted: Converted
  readonly weights: Weights
}

/** Converts into `target`, where nothing is. Nothing is left of it where that fails. */
export const makeAt = (
  target: string,
  original: Original,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<Made> =>
  withPart(target, original, wanted, signal, async (part) => {
    await renameNew(part, target)
    await syncFolder(dirname(target))
  })

/** The same, beside `target` and for as long as it takes to know what comes of it. */
export const makeBeside = (
  target: string,
  original: Original,
  wanted: Wanted,
  signal: AbortSignal,
): Promise<Made> => withPart(target, original, wanted, signal, () => Promise.resolve())

async function withPart(
  target: string,
  original: Original,
  wanted: Wanted,
  signal: AbortSignal,
  keep: (part: string) => Promise<void>,
): Promise<Made> {
  const made = await makeFolders(resolve(dirname(target)))
  try {
    for (const folder of made) await syncFolder(dirname(folder))
    // What few may read doesn't become what all may.
    const part = await openNewPart(target, original.mode)
    try {
      const converted = await readWeights(
        original,
        { path: target, file: part.file },
        wanted,
        signal,
      )
      await onDisk(target, () => part.file.sync())
      const weights = await weightsAt(part.path, signal)
      await keep(part.path)
      return { converted, weights }
    } finally {
      await part.file.close()
      await rm(part.path, { force: true })
    }
  } catch (error) {
    await removeEmpty(made)
    throw error
  }
}

/** Whether a file could be made there: in its folder, or in the first one above it that there is. @throws {LocalError} */
export async function checkRoom(target: string): Promise<void> {
  const [folder] = await pathDown(resolve(dirname(target)))
  await onDisk(folder, () => access(folder, constants.W_OK | constants.X_OK))
}
