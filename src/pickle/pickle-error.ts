import type { GlobalName } from './read-opcodes.ts'

interface Facts {
  /** What the pickle names or calls there. */
  readonly global?: GlobalName
  /** The opcode's name. */
  readonly via?: string
  /** Keys that lead to where the opcode puts its value. */
  readonly path?: readonly string[]
  /** Whether more bytes may have made it whole. */
  readonly isCutOff?: true
  /** Of what meets a limit of ours: where it would end, in the same bytes. Another reader goes on from there. */
  readonly wantedEnd?: number
}

/** A pickle that isn't read further: it is damaged, beyond a limit, or asks for what is not done here. */
export class PickleError extends Error {
  /** Of the opcode at fault, in its pickle. */
  readonly offset: number
  readonly facts: Facts

  constructor(offset: number, message: string, facts: Facts = {}) {
    super(message)
    this.offset = offset
    this.facts = facts
  }
}
