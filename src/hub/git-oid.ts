import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { VersionFile } from '../../db/ledger.ts'
import type { ReadContext, ReadVerified } from '../vault/read-verified.ts'
import { remembered } from './remembered.ts'

/** Oids kept: a few megabytes. */
const KEPT = 20_000

/** The object id that git gives a file's content, 40 hex digits. */
export type GitOid = (file: VersionFile, context: ReadContext) => Promise<string>

/** What git keeps in place of a large file: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md */
export const lfsPointer = (sha256: string, size: number): string =>
  `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${size}\n`

/** Git's id of a blob that is there whole. */
export const oidOfText = (text: string): string =>
  createHash('sha1')
    .update(`blob ${Buffer.byteLength(text)}\0${text}`)
    .digest('hex')

/**
 * Computes git's ids of sidecars from verified bytes when they are first asked for, a piece of a megabyte at most in
 * each turn of the event loop.
 */
export function createGitOid(read: ReadVerified): GitOid {
  const once = remembered<string>(KEPT)

  async function compute({ blob }: VersionFile, context: ReadContext): Promise<string> {
    const hash = createHash('sha1').update(`blob ${blob.size}\0`)
    for await (const piece of read(blob, { begin: 0, end: blob.size }, context)) {
      hash.update(piece)
      await setImmediate()
    }
    return hash.digest('hex')
  }

  return (file, context) => once(file.blob.sha256, () => compute(file, context))
}
