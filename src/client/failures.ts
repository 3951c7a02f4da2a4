import type { Facts } from '../errors.ts'

/** The registry said no, in its own words; all of them are the server's and untrusted. */
export class RefusedError extends Error {
  readonly status: number
  readonly code: string
  readonly facts: Facts

  constructor(status: number, code: string, detail: string, facts: Facts = {}) {
    super(detail)
    this.name = 'RefusedError'
    this.status = status
    this.code = code
    this.facts = facts
  }
}

/** No answer, or not all of one: nothing listens there, or the connection was lost. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError'
}

/** An answer, or its bytes, that can't be what it claims to be. Nothing of it is kept. */
export class UntrustedError extends Error {
  readonly facts: Facts

  constructor(sentence: string, facts: Facts = {}) {
    super(sentence)
    this.name = 'UntrustedError'
    this.facts = facts
  }
}
