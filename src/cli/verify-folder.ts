import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LocalError, localErrorOf } from '../client/local-failure.ts'
import { type ReadSafetensors, readSafetensors } from '../client/read-safetensors.ts'
import { SOURCE_KEY } from '../pickle/own-keys.ts'
import { SafetensorsError } from '../safetensors/safetensors-error.ts'
import { filesBelow, isFolder } from './files-below.ts'
import { createJsonList } from './json-list.ts'
import { besideOf, hasLegacyName, hasSafetensorsName, sourceNamesOf } from './migrate/sources.ts'
import type { Shell } from './shell.ts'
import { bytesInWords, counted, printable, tableInParts } from './words.ts'

interface Verified {
  readonly file: string
  readonly valid: boolean
  readonly size: number | null
  readonly sha256: string | null
  readonly tensors: number | null
  readonly source_sha256: string | null
  /** The file beside it that bears its source's name, and whether it is its source. */
  readonly source: { readonly file: string; readonly is_same: boolean } | null
  readonly error: string | null
}

/**
 * Validates the safetensors files of a folder, or one file, here: without a registry. Lists the checkpoints that have none
 * beside them.
 */
export async function verifyFolder(path: string, shell: Shell, isJson: boolean): Promise<void> {
  const list = isJson ? createJsonList(shell, {}, 'files') : undefined
  const inWords = tableInParts()
  const notMigrated: string[] = []
  let files = 0
  let failing = 0
  const add = (verified: Verified): void => {
    files += 1
    if (!verified.valid) failing += 1
    list?.add(verified)
    if (!isJson) shell.say(verified.valid ? inWords([rowOf(verified)]) : complaintOf(verified))
  }
  for await (const { file, trouble } of filesOf(path)) {
    if (trouble !== undefined) add(notValid(file, trouble.message))
    else if (hasLegacyName(file) && file !== path) {
      if (!(await isFileAt(besideOf(file)))) notMigrated.push(file)
    } else add(await verify(file))
  }
  shell.end(failing === 0 ? 0 : 1)
  list?.end({ not_migrated: notMigrated, valid: failing === 0 })
  if (isJson) return
  for (const file of notMigrated) shell.say(printable(`not migrated  ${file}`))
  const rest = notMigrated.length === 0 ? '' : `, ${notMigrated.length} not migrated`
  shell.say(`${counted(files, 'file')}, ${failing} not valid${rest}`)
}

/** What is to be looked at: the file that the caller named, or a folder's by their names. */
async function* filesOf(path: string): AsyncGenerator<{ file: string; trouble?: LocalError }> {
  if (!(await isFolder(path))) {
    yield { file: path }
    return
  }
  for await (const { path: below, ...rest } of filesBelow(path, { areHiddenFoldersTaken: true })) {
    const file = join(path, below)
    if (rest.trouble !== undefined || hasSafetensorsName(file) || hasLegacyName(file))
      yield { file, ...rest }
  }
}

async function verify(file: string): Promise<Verified> {
  let read: ReadSafetensors
  try {
    read = await readSafetensors(file, () => undefined)
  } catch (error) {
    if (error instanceof LocalError || error instanceof SafetensorsError)
      return notValid(file, error.message)
    throw error
  }
  const { header, sha256 } = read
  const claimed = header.metadata[SOURCE_KEY]
  return {
    file,
    valid: true,
    size: header.fileBytes,
    sha256,
    tensors: header.columns.count,
    source_sha256: claimed ?? null,
    source: claimed === undefined ? null : await sourceBeside(file, claimed),
    error: null,
  }
}

const notValid = (file: string, error: string): Verified => ({
  file,
  valid: false,
  size: null,
  sha256: null,
  tensors: null,
  source_sha256: null,
  source: null,
  error,
})

/** Of several files of the source's name, the one that it is. */
async function sourceBeside(file: string, claimed: string): Promise<Verified['source']> {
  let other: Verified['source'] = null
  for (const name of sourceNamesOf(file)) {
    if (!(await isFileAt(name))) continue
    if ((await sha256Of(name)) === claimed) return { file: name, is_same: true }
    other ??= { file: name, is_same: false }
  }
  return other
}

async function sha256Of(file: string): Promise<string> {
  const whole = createHash('sha256')
  try {
    for await (const piece of createReadStream(file, { highWaterMark: 1024 * 1024 }))
      whole.update(piece as Uint8Array)
  } catch (error) {
    throw localErrorOf(file, error)
  }
  return whole.digest('hex')
}

const isFileAt = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  )

const complaintOf = ({ file, error }: Verified): string =>
  printable(`NOT VALID  ${file}  ${error ?? ''}`)

function rowOf(verified: Verified): readonly string[] {
  const { file, size, sha256, tensors } = verified
  return [
    'valid'.padEnd('NOT VALID'.length),
    file,
    bytesInWords(size ?? 0),
    `sha256 ${sha256 ?? ''}`,
    counted(tensors ?? 0, 'tensor'),
    originOf(verified),
  ]
}

function originOf({ source, source_sha256: claimed }: Verified): string {
  if (claimed === null) return ''
  if (source === null) return `made of sha256 ${claimed}`
  return source.is_same ? `made of ${source.file}` : `${source.file} is not its source`
}
