import { type Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { localErrorOf } from '../client/local-failure.ts'
import type { LocalFile } from '../client/push-files.ts'
import { DEFAULT_PATH, parseFilePath } from '../registry/names.ts'
import { sidecarForm } from '../sidecars/forms.ts'
import { usage } from './client-options.ts'
import { type Shell, UsageError } from './shell.ts'
import { printable } from './words.ts'

interface Choice {
  /** Of the one file, in the version. */
  readonly path?: string
  /** Whether folders give them too. */
  readonly sidecars?: boolean
}

const isPublishable = (name: string): boolean => /\.safetensors(\.index\.json)?$/.test(name)

/** Whether it is admitted is for the registry to say; what is hidden belongs to other tools. */
const isPublishableOrSidecar = (name: string): boolean =>
  isPublishable(name) || (!name.startsWith('.') && sidecarForm(name) !== undefined)

/** What of the files and folders that the caller names is pushed, and as what. @throws {UsageError}, {LocalError} */
export async function filesToPush(
  given: readonly string[],
  { path, sidecars = false }: Choice,
  shell: Shell,
): Promise<readonly LocalFile[]> {
  const isTaken = sidecars ? isPublishableOrSidecar : isPublishable
  const found: LocalFile[] = []
  for (const local of given) {
    if (await isFolder(local)) found.push(...(await filesBelow(local, isTaken, shell)))
    else found.push({ local, path: parseFilePath(pathFor(local, given.length === 1)) })
  }
  const [first] = found
  if (first === undefined) throw new UsageError('There is no safetensors file there.')
  if (path !== undefined) {
    if (found.length > 1) throw new UsageError('--path is for one FILE.')
    return [{ local: first.local, path: usage('--path', () => parseFilePath(path)) }]
  }
  const paths = new Set<string>()
  for (const file of found) {
    if (paths.has(file.path)) throw new UsageError(`${file.path}: two files have this path.`)
    paths.add(file.path)
  }
  return found
}

/** A lone file of a name of its own is the model. */
function pathFor(local: string, isAlone: boolean): string {
  const name = basename(local)
  return isAlone && !isPublishable(name) ? DEFAULT_PATH : name
}

async function isFolder(local: string): Promise<boolean> {
  const found = await stat(local).catch((error: unknown) => {
    throw localErrorOf(local, error)
  })
  return found.isDirectory()
}

/** Links to files are followed, since caches of models are made of them; links to folders are not. */
async function filesBelow(
  folder: string,
  isTaken: (name: string) => boolean,
  shell: Shell,
): Promise<readonly LocalFile[]> {
  const found: LocalFile[] = []
  const leftOut: string[] = []
  const walk = async (below: string): Promise<void> => {
    const entries: Dirent[] = await readdir(join(folder, below), { withFileTypes: true })
    entries.sort((a, b) => (a.name < b.name ? -1 : 1))
    for (const entry of entries) {
      const path = below === '' ? entry.name : `${below}/${entry.name}`
      if (entry.isDirectory()) await walk(path)
      else if (isTaken(entry.name)) {
        found.push({ local: join(folder, path), path: usage(path, () => parseFilePath(path)) })
      } else leftOut.push(path)
    }
  }
  await walk('')
  if (leftOut.length > 0) shell.note(`left out by name: ${leftOut.map(printable).join(', ')}`)
  return found
}
