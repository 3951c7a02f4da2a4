import type { OpcodeName } from '../opcodes.ts'
import type { Instruction } from '../read-opcodes.ts'
import { preview, type Symbol } from './symbols.ts'

/** Something that a pickle names which isn't known to be plain data. */
export interface TraceFinding {
  /** Where it is called; where it is named if it isn't. */
  readonly offset: number
  /** `os.system` */
  readonly global: string
  readonly via: OpcodeName
  /** Whether it is called, not only named. */
  readonly invoked: boolean
  /** Whether more is done with it than building plain data, or an object of a class without arguments. */
  readonly isAttack: boolean
  readonly argsPreview: string | undefined
}

/** Of a name. */
const MOST_CHARACTERS = 1000

/** What a pickle's reading comes to. */
export interface Findings {
  readonly list: readonly TraceFinding[]
  readonly tell: (at: Instruction, what: string, isAttack: boolean, args?: Symbol) => void
  /** Tells that something is named, until it is called. */
  readonly tellName: (at: Instruction, what: string, symbol: Symbol) => void
  /** Tells of a call, in place of the naming. */
  readonly tellCall: (at: Instruction, what: string, isAttack: boolean, args: Symbol, symbol: Symbol) => void // prettier-ignore
}

/**
 * @param most of attacks, and of what else is found: a thousand harmless names hide no attack
 * @param onMore called at one attack too many
 */
export function createFindings(most: number, onMore: () => never): Findings {
  const list: TraceFinding[] = []
  const named = new Map<Symbol, TraceFinding>()
  let attacks = 0

  function tell(
    { offset, name: via }: Instruction,
    what: string,
    isAttack: boolean,
    args?: Symbol,
  ): TraceFinding | undefined {
    if (isAttack && attacks === most) return onMore()
    if (!isAttack && list.length - attacks >= most) return undefined
    if (isAttack) attacks += 1
    const invoked = args !== undefined
    const global = what.slice(0, MOST_CHARACTERS)
    const found = { offset, global, via, invoked, isAttack, argsPreview: args && preview(args) }
    list.push(found)
    return found
  }

  return {
    list,
    tell,
    tellName: (at, what, symbol) => {
      const found = tell(at, what, false)
      if (found !== undefined) named.set(symbol, found)
    },
    tellCall: (at, what, isAttack, args, symbol) => {
      const naming = named.get(symbol)
      if (naming !== undefined) list.splice(list.lastIndexOf(naming), 1)
      named.delete(symbol)
      tell(at, what, isAttack, args)
    },
  }
}
