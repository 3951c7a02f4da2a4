import { basename, dirname, join, resolve } from 'node:path'
import type { LocalError } from '../../client/local-failure.ts'
import { type FileBelow, filesBelow, isFolder } from '../files-below.ts'

/** A file to migrate, and where its weights go. */
export interface Source {
  readonly path: string
  readonly target: string
  /** Why its folder can't be looked into. */
  readonly trouble?: LocalError
}

const ENDINGS = ['pt', 'pth', 'bin', 'ckpt'] as const
const LEGACY = new RegExp(`\\.(?:${ENDINGS.join('|')})$`, 'i')
const BACKUP = /\.bak$/
const SAFETENSORS = /\.safetensors$/i

export const hasLegacyName = (path: string): boolean => LEGACY.test(path)
export const hasSafetensorsName = (path: string): boolean => SAFETENSORS.test(path)

/** Without the endings that say what it is, as far as they are known. */
export const stemOf = (path: string): string =>
  basename(path).replace(BACKUP, '').replace(LEGACY, '').replace(SAFETENSORS, '')

/** Where its weights lie unless told otherwise: beside it. */
export const besideOf = (path: string): string => join(dirname(path), `${stemOf(path)}.safetensors`)

/** What its source would be called if it lay beside it. */
export const sourceNamesOf = (path: string): readonly string[] =>
  ENDINGS.flatMap((ending) => {
    const name = join(dirname(path), `${stemOf(path)}.${ending}`)
    return [name, `${name}.bak`]
  })

/** What a folder lacks, said in words. */
export const nothingIn = (folder: string): string =>
  `no .${ENDINGS.slice(0, -1).join(', .')} or .${ENDINGS.slice(-1).join()} file in ${folder}`

interface Sources {
  readonly sources: readonly Source[]
  /** The folders among what was given that hold none. */
  readonly foldersWithout: readonly string[]
}

/**
 * Files that the caller names, whatever they are called, and those of folders that are called as checkpoints are; each once.
 *
 * @param output folder for what is made of them, with their relative folders.
 * @throws {LocalError}
 */
export async function sourcesOf(
  given: readonly string[],
  output: string | undefined,
): Promise<Sources> {
  const found = new Map<string, Source>()
  const foldersWithout: string[] = []
  for (const path of given) {
    const isSearched = await isFolder(path)
    const folder = isSearched ? path : dirname(path)
    const files: AsyncIterable<FileBelow> | readonly FileBelow[] = isSearched
      ? filesBelow(path, { areHiddenFoldersTaken: false })
      : [{ path: basename(path) }]
    let isEmpty = true
    for await (const file of files) {
      if (isSearched && file.trouble === undefined && !hasLegacyName(file.path)) continue
      isEmpty = false
      const source = join(folder, file.path)
      const target = join(output ?? folder, besideOf(file.path))
      if (!found.has(resolve(source))) found.set(resolve(source), { ...file, path: source, target })
    }
    if (isEmpty) foldersWithout.push(path)
  }
  return { sources: [...found.values()], foldersWithout }
}
