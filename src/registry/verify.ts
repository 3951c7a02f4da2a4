import { setImmediate } from 'node:timers/promises'
import { type Ledger, LedgerDamaged, type Tensor, type VersionFile } from '../../db/ledger.ts'
import type { OnCorrupt, ReadContext } from '../vault/read-verified.ts'
import type { Rehash } from '../vault/rehash.ts'
import type { ResolvedVersion } from './resolve.ts'

export interface FileVerdict {
  readonly path: string
  readonly valid: boolean
  readonly sha256: string
  readonly size: number
  /** The first chunk that doesn't hold; absent for bytes that were quarantined before and aren't read again, and for altered rows. */
  readonly chunk?: number
  /** Its bytes hold, and the ledger's rows of its tensors don't. For the audit log: an answer doesn't tell. */
  readonly rows?: 'altered'
}

export type VerifyVersion = (
  resolved: ResolvedVersion,
) => Promise<{ readonly valid: boolean; readonly files: readonly FileVerdict[] }>

/** Rows of tensors that are read in one go: a few milliseconds. */
const ROWS_PER_TURN = 500

/**
 * Re-reads every byte of a version at rest, past the cache, against each leaf and the whole; and the row of every tensor
 * against its digest. `onAltered` hears of rows that don't hold: the bytes they are about do, and are not quarantined.
 */
export function createVerifyVersion(parts: {
  readonly ledger: Ledger
  readonly rehash: Rehash
  readonly onCorrupt: OnCorrupt
  readonly onAltered: (why: LedgerDamaged, context: ReadContext) => void
}): VerifyVersion {
  const { ledger, rehash, onCorrupt, onAltered } = parts

  /** What is wrong with the rows of a file's tensors. One of them too many or too few is. */
  async function alteredRow(file: VersionFile): Promise<LedgerDamaged | undefined> {
    let count = 0
    let page: readonly Tensor[]
    let last = ''
    try {
      do {
        page = await ledger.tensorPage(file, last, ROWS_PER_TURN)
        count += page.length
        last = page.at(-1)?.name ?? last
        await setImmediate()
      } while (page.length === ROWS_PER_TURN && count <= file.tensors)
    } catch (error) {
      if (error instanceof LedgerDamaged) return error
      throw error
    }
    if (count === file.tensors) return undefined
    return new LedgerDamaged(`there are not ${file.tensors} rows of tensors`, file.path)
  }

  async function verifyFile(file: VersionFile, context: ReadContext): Promise<FileVerdict> {
    const verdict = await verifyBytes(file, context)
    const altered = verdict.valid ? await alteredRow(file) : undefined
    if (altered === undefined) return verdict
    onAltered(altered, context)
    return { ...verdict, valid: false, rows: 'altered' }
  }

  async function verifyBytes(
    { path, blob }: Pick<VersionFile, 'path' | 'blob'>,
    context: ReadContext,
  ): Promise<FileVerdict> {
    const { sha256, size } = blob
    if (blob.state !== 'sealed') return { path, valid: false, sha256, size }
    const chunk = await rehash(blob, 'background')
    if (chunk === undefined) return { path, valid: true, sha256, size }
    // A repair may have put another copy in this one's place meanwhile: that one is to be judged.
    const now = await ledger.blob(blob.id)
    if (now !== undefined && now.vaultId !== blob.vaultId)
      return verifyBytes({ path, blob: now }, context)
    await onCorrupt(blob, chunk, context)
    return { path, valid: false, sha256, size, chunk }
  }

  return async ({ version, files }) => {
    const subject = `${version.owner}/${version.name}@${version.version}`
    const verdicts: FileVerdict[] = []
    for (const file of files) {
      verdicts.push(
        await verifyFile(file, { path: file.path, subject, revision: version.revision }),
      )
    }
    return { valid: verdicts.every(({ valid }) => valid), files: verdicts }
  }
}
