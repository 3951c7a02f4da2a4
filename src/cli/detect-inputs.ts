import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import process from 'node:process'
import { localErrorOf, misused } from '../client/local-failure.ts'
import { UsageError } from './shell.ts'

/** A text that the caller wants judged, in parts. */
export interface Input {
  /** Its file; undefined for what was typed or piped. */
  readonly file: string | undefined
  readonly parts: AsyncIterable<string>
  /** Given as an argument: it has no last line break of its own. */
  readonly isTyped: boolean
}

/**
 * What the caller gave: files, a text, or else standard input.
 *
 * @throws {UsageError}
 */
export async function inputsOf(
  given: string | undefined,
  files: readonly string[],
): Promise<readonly Input[]> {
  if (given !== undefined && files.length > 0)
    throw new UsageError('Give a text or --file, not both.')
  if (files.length > 0) return files.map((file) => ({ file, parts: partsOf(file), isTyped: false }))
  if (given === undefined && process.stdin.isTTY)
    throw new UsageError('Give a text or --file, or pipe a text in.')
  if (given === undefined || given === '-')
    return [{ file: undefined, parts: partsOf(undefined), isTyped: false }]
  // Judged as a text, the name of a file is nothing found, and its content goes on unseen.
  if (await isThere(given))
    throw new UsageError(`${given}: this is a file or a folder; --file reads a file.`)
  return [{ file: undefined, parts: single(given), isTyped: true }]
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch {
    return false
  }
}

async function* single(text: string): AsyncGenerator<string, void, undefined> {
  yield await Promise.resolve(text)
}

/** A file's text, or standard input's, to the last character. @throws {LocalError} where it is no text. */
async function* partsOf(file: string | undefined): AsyncGenerator<string, void, undefined> {
  const name = file ?? 'standard input'
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const decode = (bytes: Uint8Array | undefined): string => {
    try {
      return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true })
    } catch {
      throw misused(name, 'it is not text in UTF-8')
    }
  }
  try {
    for await (const chunk of file === undefined ? process.stdin : createReadStream(file)) {
      const bytes = chunk as Uint8Array
      if (bytes.includes(0)) throw misused(name, 'it is binary')
      yield decode(bytes)
    }
    yield decode(undefined)
  } catch (error) {
    throw localErrorOf(name, error)
  }
}
