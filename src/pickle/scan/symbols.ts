import { escaped } from '../escaped.ts'
import type { GlobalName } from '../read-opcodes.ts'

/** What is known of a value without making it. */
export type Symbol =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'number'; readonly number: bigint | number }
  | { readonly kind: 'list'; readonly items: Symbol[] }
  | NamedSymbol
  | ObjectSymbol
  | { readonly kind: 'other' }

/** What is named by GLOBAL, INST or STACK_GLOBAL. */
export interface NamedSymbol {
  readonly kind: 'global'
  /** `os.system` */
  readonly name: string
  /** Whether a checkpoint is built of it, or plain data beside it. */
  readonly trust: 'known' | 'harmless' | 'none'
}

/** What came of a call. */
export interface ObjectSymbol {
  readonly kind: 'object'
  readonly of: string
  readonly trust: NamedSymbol['trust']
  /** Whether its attributes were set, which a pickler does once and last. */
  isBuilt: boolean
}

export const OTHER: Symbol = { kind: 'other' }

export const fullName = ({ module, name }: GlobalName): string => `${module}.${name}`

const PREVIEW_LENGTH = 120
const PREVIEW_ITEMS = 8

/** A value as a person may be shown it: short, and without signs that a terminal or a reader could take for others. */
export function preview(symbol: Symbol | undefined): string {
  return escaped(told(symbol, 0)).slice(0, PREVIEW_LENGTH)
}

function told(symbol: Symbol | undefined, depth: number): string {
  switch (symbol?.kind) {
    case 'text':
      return JSON.stringify(symbol.text.slice(0, PREVIEW_LENGTH))
    case 'bytes':
      return `${symbol.bytes.length} bytes`
    case 'number':
      return String(symbol.number).slice(0, PREVIEW_LENGTH)
    case 'list':
      if (depth > 2) return '(…)'
      return `(${symbol.items.slice(0, PREVIEW_ITEMS).map((item) => told(item, depth + 1)).join(', ')}${symbol.items.length > PREVIEW_ITEMS ? ', …' : ''})` // prettier-ignore
    case 'global':
      return symbol.name.slice(0, PREVIEW_LENGTH)
    case 'object':
      return `${symbol.of.slice(0, PREVIEW_LENGTH)}(…)`
    default:
      return '…'
  }
}
