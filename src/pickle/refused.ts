import { escaped } from './escaped.ts'

/** Why a file isn't converted, by kind. */
export type RefusalReason =
  /** It is of another format, or none. */
  | 'not_a_checkpoint'
  /** Its archive isn't as torch writes it, or its bytes are not what it says. */
  | 'damaged'
  /** Its pickle isn't, or names what is not on the list. */
  | 'pickle'
  /** A tensor's view doesn't fit its storage, or safetensors has no such tensor. */
  | 'tensor'
  /** It isn't clear which of its parts the weights are. */
  | 'root'
  | 'limit'

/** Of a message: names in it are the file's. */
const MOST_CHARACTERS = 4096

export class ConversionRefused extends Error {
  readonly reason: RefusalReason

  constructor(reason: RefusalReason, message: string, cause?: unknown) {
    super(escaped(message.slice(0, MOST_CHARACTERS)), cause === undefined ? undefined : { cause })
    this.reason = reason
  }
}

/** It names a class that isn't known, of which an object could be left out unread. */
export class UnknownClass extends ConversionRefused {
  constructor(message: string, cause: unknown) {
    super('pickle', message, cause)
  }
}
