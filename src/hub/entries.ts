import { setImmediate } from 'node:timers/promises'
import type { VersionFile } from '../../db/ledger.ts'
import { contextOf } from '../registry/representation.ts'
import { notFound, type ResolvedVersion } from '../registry/resolve.ts'
import { type GitOid, lfsPointer, oidOfText } from './git-oid.ts'
import { commitOf } from './revision.ts'

/** A thousand paths of five hundred bytes may have a quarter of a million directories. */
const STEPS_A_TURN = 5000

/** A place of a repository: a file, or a directory, which is there because files lie in it. */
export interface Place {
  readonly path: string
  readonly file: VersionFile | undefined
}

/** A place as the Hub tells it. Weights are there as files of git LFS, everything else as git's own. */
export interface Entry {
  readonly type: 'file' | 'directory'
  readonly path: string
  readonly size: number
  readonly oid: string
  readonly lfs?: { readonly oid: string; readonly size: number; readonly pointerSize: number }
  readonly lastCommit?: { readonly id: string; readonly title: string; readonly date: string }
}

/** Templates that transformers looks for in any repository, and takes for an error where the folder is missing. */
const ALWAYS_THERE = new Set(['', 'additional_chat_templates'])

/**
 * What lies in a directory (empty: the root), and with `recursive` what lies below that too, in git's order: that of the
 * bytes of paths, where a directory's ends with a slash.
 *
 * @throws {RegistryError} NOT_FOUND where no file lies in it.
 */
export async function placesIn(
  files: readonly VersionFile[],
  directory: string,
  recursive: boolean,
): Promise<readonly Place[]> {
  const prefix = directory === '' ? '' : `${directory}/`
  const places = new Map<string, Place>()
  let steps = 0
  for (const file of files) {
    if (!file.path.startsWith(prefix)) continue
    for (let at = prefix.length; at >= 0;) {
      const slash = file.path.indexOf('/', at)
      const key = slash < 0 ? file.path : file.path.slice(0, slash + 1)
      places.set(key, slash < 0 ? { path: key, file } : { path: key.slice(0, -1), file: undefined })
      at = slash < 0 || !recursive ? -1 : slash + 1
      steps += 1
      if (steps % STEPS_A_TURN === 0) await setImmediate()
    }
  }
  if (places.size === 0 && !ALWAYS_THERE.has(directory)) throw notFound('file')
  return [...places.values()]
}

/** Some of the places behind that of the path, which may be gone by now. */
export function pageOf(
  places: readonly Place[],
  after: string | undefined,
  limit: number,
): { readonly page: readonly Place[]; readonly next: string | undefined } {
  const at = places.findIndex(({ path }) => path === after)
  const behind = places.findIndex(({ path }) => after === undefined || path > after)
  const start = at >= 0 ? at + 1 : behind >= 0 ? behind : places.length
  const page = places.slice(start, start + limit)
  return { page, next: start + limit < places.length ? page.at(-1)?.path : undefined }
}

/** Tells places one after the other: what git calls a sidecar takes reading it, the first time. */
export async function tellPlaces(
  gitOid: GitOid,
  resolved: ResolvedVersion,
  places: readonly Place[],
  withCommit: boolean,
): Promise<readonly Entry[]> {
  const { version } = resolved
  const commit = commitOf(version.revision)
  const lastCommit = { id: commit, title: version.version, date: version.createdAt }
  const entries: Entry[] = []
  for (const { path, file } of places) {
    const told =
      file === undefined
        ? // Directories of one oid hold the same; that those of two versions do, nobody is told.
          { type: 'directory' as const, path, size: 0, oid: oidOfText(`${commit} ${path}`) }
        : await tellFile(gitOid, resolved, file)
    entries.push(withCommit ? { ...told, lastCommit } : told)
  }
  return entries
}

/** @throws {RegistryError} INTEGRITY_FAILURE for a sidecar whose bytes don't hold. */
export async function tellFile(
  gitOid: GitOid,
  resolved: ResolvedVersion,
  file: VersionFile,
): Promise<Entry> {
  const { path } = file
  const { sha256, size, kind } = file.blob
  if (kind !== 'safetensors')
    return { type: 'file', path, size, oid: await gitOid(file, contextOf(resolved, path)) }
  const pointer = lfsPointer(sha256, size)
  const lfs = { oid: sha256, size, pointerSize: pointer.length }
  return { type: 'file', path, size, oid: oidOfText(pointer), lfs }
}
