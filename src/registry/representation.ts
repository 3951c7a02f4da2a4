import type { VersionFile } from '../../db/ledger.ts'
import type { ByteRange } from '../http/range.ts'
import type { ReadContext, ReadVerified } from '../vault/read-verified.ts'
import type { ResolvedVersion } from './resolve.ts'

/** Bytes as a caller asks for them (a file, a tensor, a slice, a selection), and what they are known by. */
export interface Representation {
  /** Of the strong ETag: `sha256-HEX` of the bytes, or `derived-HEX` of what they follow from. */
  readonly tag: string
  /** Of the bytes, hex; undefined where nobody has computed it. */
  readonly sha256: string | undefined
  readonly size: number
  /** Those that the bytes come from. */
  readonly files: readonly VersionFile[]
  /**
   * Bytes of a range in order, each of them checked; the first is checked before any is yielded. A piece is
   * valid until the next one is asked for.
   */
  readonly pieces: (range: ByteRange) => AsyncGenerator<Uint8Array, void, undefined>
  /** Bytes taken so far from each of several files, by path. */
  readonly taken?: ReadonlyMap<string, number>
}

/** A file of a version, for errors and audit entries. */
export const contextOf = ({ version }: ResolvedVersion, path: string): ReadContext => ({
  path,
  subject: `${version.owner}/${version.name}@${version.version}`,
  revision: version.revision,
})

/** Bytes that lie in a file as they are: all of it, or one of its tensors. */
export function storedBytes(
  read: ReadVerified,
  file: VersionFile,
  context: ReadContext,
  { sha256, begin, end }: { readonly sha256: string; readonly begin: number; readonly end: number },
): Representation {
  return {
    tag: `sha256-${sha256}`,
    sha256,
    size: end - begin,
    files: [file],
    pieces: (range) =>
      read(file.blob, { begin: begin + range.begin, end: begin + range.end }, context),
  }
}
