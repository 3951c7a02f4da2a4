/** A file or folder of the caller's own machine that can't be used as asked; the message says which and why. */
export class LocalError extends Error {
  override readonly name = 'LocalError'
  /** The caller named what isn't there or may not be used so; otherwise the machine failed. */
  readonly isWrongUse: boolean

  constructor(sentence: string, { isWrongUse, cause }: { isWrongUse: boolean; cause?: unknown }) {
    super(sentence, { cause })
    this.isWrongUse = isWrongUse
  }
}

/** A file or folder, named by its path, that can't be used as asked. */
export const misused = (path: string, why: string): LocalError =>
  new LocalError(`${path}: ${why}.`, { isWrongUse: true })

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is not a folder',
  ELOOP: 'it is a symbolic link',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota is used up',
  EFBIG: 'the file system takes no file of this size',
  ENAMETOOLONG: 'its name is too long for this file system',
  EIO: 'the disk failed',
}

const MACHINE_FAILURES = ['ENOSPC', 'EDQUOT', 'EFBIG', 'EIO']

/** Errors of the file system on `path`, in words; others as they are. */
export function localErrorOf(path: string, error: unknown): unknown {
  if (!(error instanceof Error) || !('syscall' in error) || !('code' in error)) return error
  const code = String(error.code)
  const isWrongUse = code in REASONS && !MACHINE_FAILURES.includes(code)
  return new LocalError(`${path}: ${REASONS[code] ?? code}.`, { isWrongUse, cause: error })
}
