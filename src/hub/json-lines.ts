import { randomUUID } from 'node:crypto'
import { invalidField, RegistryError } from '../errors.ts'

// A commit is JSON, one object a line, and a file may stand in a line whole, as base64: some tens of megabytes in one
// string, before the path that says what it is. Such a string is never in memory: it is decoded as it comes, and its place
// in the line is taken by a name that nobody can guess.

const NEWLINE = 0x0a
const QUOTE = 0x22
const BACKSLASH = 0x5c

/** A string that is longer than this is content. */
const MAX_STRING_BYTES = 64 * 1024
/** What is left of a line without its content. */
const MAX_LINE_BYTES = 256 * 1024

/** Where the bytes of a content go until its line is over. */
export interface Spool {
  readonly append: (bytes: Uint8Array) => Promise<void>
  readonly read: () => AsyncIterable<Uint8Array>
  readonly discard: () => Promise<void>
}

export interface Line {
  readonly value: unknown
  /** What stands in the line for the content that was taken out of it, if one was. */
  readonly content: { readonly placeholder: string; readonly spool: Spool } | undefined
}

/**
 * Reads lines as they come in; the content of one is discarded when the next is asked for.
 *
 * @throws {RegistryError} INVALID_REQUEST for what is no JSON, TOO_LARGE for a content of more than `maxContentBytes`.
 */
export async function* readJsonLines(
  body: AsyncIterable<Uint8Array>,
  limits: { readonly maxLines: number; readonly maxContentBytes: number },
  openSpool: () => Promise<Spool>,
): AsyncGenerator<Line, void, undefined> {
  let lines = 0
  let line = createLine(limits.maxContentBytes, openSpool)
  try {
    for await (const chunk of body) {
      for (let at = 0; at < chunk.length;) {
        const newline = chunk.indexOf(NEWLINE, at)
        const end = newline < 0 ? chunk.length : newline
        await line.take(chunk.subarray(at, end))
        at = end + 1
        if (newline < 0) continue
        // Blank ones too: they are read and cost as much.
        if (++lines > limits.maxLines) throw tooManyLines(limits.maxLines)
        const done = line.finish()
        if (done !== undefined) yield done
        await line.discard()
        line = createLine(limits.maxContentBytes, openSpool)
      }
    }
    const last = line.finish()
    if (last === undefined) return
    if (++lines > limits.maxLines) throw tooManyLines(limits.maxLines)
    yield last
  } finally {
    await line.discard()
  }
}

function createLine(maxContentBytes: number, openSpool: () => Promise<Spool>) {
  const placeholder = randomUUID()
  /** The line without its content; what there is of a string that hasn't ended is in it too. It grows as it must. */
  let kept = Buffer.alloc(0)
  let keptBytes = 0
  let isString = false
  let isEscaped = false
  let stringBytes = 0
  /** Where in the line the string begins that is being read. */
  let stringBegin = 0
  let content:
    { readonly spool: Spool; readonly base64: ReturnType<typeof createBase64> } | undefined
  let isContent = false

  function keep(bytes: Uint8Array): void {
    const end = keptBytes + bytes.length
    if (end > MAX_LINE_BYTES)
      throw invalidField('body', 'has a line that is too long', 'The commit is not valid.')
    if (end > kept.length) kept = Buffer.concat([kept], Math.max(256, end * 2))
    kept.set(bytes, keptBytes)
    keptBytes = end
  }

  /** The string that is being read is content: what came of it so far is taken out of the line. */
  async function beginContent(): Promise<void> {
    if (content !== undefined)
      throw invalidField('body', 'has two contents in one line', 'The commit is not valid.')
    content = { spool: await openSpool(), base64: createBase64(maxContentBytes) }
    isContent = true
    const begun = content.base64.decode(kept.subarray(stringBegin, keptBytes))
    keptBytes = stringBegin
    keep(Buffer.from(placeholder))
    await content.spool.append(begun)
  }

  async function takeOfString(bytes: Uint8Array): Promise<void> {
    if (isContent && content !== undefined) {
      await content.spool.append(content.base64.decode(bytes))
      return
    }
    keep(bytes)
    stringBytes += bytes.length
    if (stringBytes > MAX_STRING_BYTES) await beginContent()
  }

  /** The next quote that ends the string; backslashes hide the byte behind them. Each byte is looked at once. */
  function endOfString(bytes: Uint8Array, from: number): number {
    let quote = -1
    for (let at = from; ;) {
      if (isEscaped) {
        if (at >= bytes.length) return -1
        isEscaped = false
        at += 1
      }
      if (quote < at) quote = indexOrEnd(bytes, QUOTE, at)
      const backslash = bytes.subarray(at, quote).indexOf(BACKSLASH)
      if (backslash < 0) return quote === bytes.length ? -1 : quote
      at += backslash + 1
      isEscaped = true
    }
  }

  return {
    async take(bytes: Uint8Array): Promise<void> {
      for (let at = 0; at < bytes.length;) {
        if (!isString) {
          const quote = bytes.indexOf(QUOTE, at)
          const end = quote < 0 ? bytes.length : quote + 1
          keep(bytes.subarray(at, end))
          at = end
          isString = quote >= 0
          stringBytes = 0
          stringBegin = keptBytes
          continue
        }
        const quote = endOfString(bytes, at)
        const end = quote < 0 ? bytes.length : quote
        await takeOfString(bytes.subarray(at, end))
        at = end
        if (quote < 0) continue
        isString = false
        isContent = false
        keep(bytes.subarray(quote, quote + 1))
        at += 1
      }
    },
    /** Undefined for a blank line. */
    finish(): Line | undefined {
      const text = kept.toString('utf8', 0, keptBytes)
      if (text.trim() === '') return undefined
      content?.base64.finish()
      let value: unknown
      try {
        value = JSON.parse(text)
      } catch {
        throw invalidField('body', 'has a line that is no JSON', 'The commit is not valid.')
      }
      return { value, content: content && { placeholder, spool: content.spool } }
    },
    discard: async (): Promise<void> => {
      await content?.spool.discard()
    },
  }
}

function indexOrEnd(bytes: Uint8Array, byte: number, from: number): number {
  const index = bytes.indexOf(byte, from)
  return index < 0 ? bytes.length : index
}

const ALPHABET = /^[A-Za-z0-9+/]*$/
const ENDING = /^[A-Za-z0-9+/]*={0,2}$/

/** RFC 4648 §4, in pieces of any length; some writers of JSON put a backslash before each slash. */
export function createBase64(maxBytes: number) {
  let rest = ''
  let isOver = false
  let decoded = 0

  const invalid = (): RegistryError =>
    invalidField('body', 'has a content that is no base64', 'The commit is not valid.')

  function decodeText(text: string): Uint8Array {
    if (text === '') return new Uint8Array(0)
    if (isOver) throw invalid()
    isOver = text.endsWith('=')
    if (!(isOver ? ENDING : ALPHABET).test(text)) throw invalid()
    const bytes = Buffer.from(text, 'base64')
    decoded += bytes.length
    if (decoded > maxBytes)
      throw new RegistryError('TOO_LARGE', `A file in a commit has at most ${maxBytes} bytes.`, {
        limit: maxBytes,
      })
    return bytes
  }

  return {
    decode(piece: Uint8Array): Uint8Array {
      const { buffer, byteOffset, length } = piece
      let text = rest + Buffer.from(buffer, byteOffset, length).toString('latin1')
      const escape = text.endsWith('\\') ? '\\' : ''
      text = text.slice(0, text.length - escape.length)
      if (text.includes('\\')) text = text.replaceAll('\\/', '/')
      // One that is left would be taken for another escape, together with what comes next.
      if (text.includes('\\')) throw invalid()
      const whole = text.length - (text.length % 4)
      rest = text.slice(whole) + escape
      return decodeText(text.slice(0, whole))
    },
    finish(): void {
      if (rest !== '') throw invalid()
    },
  }
}

const tooManyLines = (limit: number): RegistryError =>
  new RegistryError('TOO_LARGE', `A commit has at most ${limit} lines.`, { limit })
