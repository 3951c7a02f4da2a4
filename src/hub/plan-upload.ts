import { setImmediate } from 'node:timers/promises'
import { parseFilePath } from '../registry/names.ts'
import type { FileKind } from '../vault/judging.ts'
import { type FileToCome, judgeBeginning, refused } from './file-verdict.ts'
import { judgeName } from './refused-names.ts'

/** How a client is to send a file: weights by themselves, whatever describes them inside the commit. */
export interface PlannedFile {
  readonly path: string
  readonly mode: 'lfs' | 'regular'
  /** Why the client is to leave it out; undefined where it isn't. */
  readonly leftOut: string | undefined
}

/** Each is judged by its first bytes, in a millisecond at most. */
const FILES_A_TURN = 16

/**
 * Plans the upload of files that a client is about to push. A push of nothing but what has to be left out is refused: the
 * person who pushes means just that file.
 *
 * @throws {RegistryError} INVALID_REQUEST, INVALID_NAME with a sentence for that person.
 */
export async function planUpload(
  files: readonly Omit<FileToCome, 'kind'>[],
  kindOf: (path: string) => FileKind,
  { maxSidecarBytes, maxBytes }: { readonly maxSidecarBytes: number; readonly maxBytes: number },
): Promise<readonly PlannedFile[]> {
  const planned: PlannedFile[] = []
  for (const [i, file] of files.entries()) {
    if (i % FILES_A_TURN === FILES_A_TURN - 1) await setImmediate()
    planned.push(planFile({ ...file, kind: kindOf(file.path) }, maxSidecarBytes))
  }
  requireFits(files, planned, maxBytes)
  const [first] = planned
  if (first?.leftOut !== undefined && planned.every(({ leftOut }) => leftOut !== undefined))
    throw refused(first.path, first.leftOut)
  return planned
}

function planFile(file: FileToCome, maxSidecarBytes: number): PlannedFile {
  const { path, kind } = file
  const mode = kind === 'safetensors' && file.sizeBytes > 0 ? 'lfs' : 'regular'
  const byName = judgeName(path)
  if (byName?.verdict === 'left_out') {
    // A client that doesn't leave it out sends it inside the commit, whose refusal says its path.
    const isSmall = file.sizeBytes <= maxSidecarBytes
    return { path, mode: isSmall ? 'regular' : 'lfs', leftOut: byName.why }
  }
  if (byName !== undefined) throw refused(path, byName.why)
  parseFilePath(path)
  if (kind !== 'safetensors' && file.sizeBytes > maxSidecarBytes)
    throw refused(
      path,
      `is larger than ${maxSidecarBytes} bytes, the most that such a file may have`,
    )
  judgeBeginning(file)
  return { path, mode, leftOut: undefined }
}

/** What is pushed alone may be more than a version may have. */
function requireFits(
  files: readonly { readonly path: string; readonly sizeBytes: number }[],
  planned: readonly PlannedFile[],
  maxBytes: number,
): void {
  let bytes = 0
  for (const [i, { path, sizeBytes }] of files.entries()) {
    if (planned[i]?.leftOut === undefined) bytes += sizeBytes
    if (bytes > maxBytes)
      throw refused(
        path,
        `with it this is more than the policy lets a version have: ${maxBytes} bytes`,
      )
  }
}
