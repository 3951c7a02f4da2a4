import type { LooksLike } from '../safetensors/safetensors-error.ts'

/** The first byte, counted from the file's start, at which a file isn't what it should be, and what is wrong there. */
export class Fault extends Error {
  readonly offset: number
  /** What it is instead, where that is known better than by its first bytes. */
  readonly looksLike: LooksLike | undefined

  constructor(offset: number, sentence: string, looksLike?: LooksLike) {
    super(sentence)
    this.name = 'Fault'
    this.offset = offset
    this.looksLike = looksLike
  }
}

/** Reads a file as it comes, in pieces of any length; keeps none of them. */
export interface Reader {
  /** @throws {Fault} at the first byte that no such file has there. */
  write: (bytes: Uint8Array) => void
  /** The file is over. @throws {Fault} when something is missing. */
  end: () => void
}
