import { createWords } from './words.ts'

/** A dtype and the bits of one element. */
interface Dtype {
  readonly name: string
  readonly bits: number
}

/** Every dtype of the format, in an order that never changes: the index is the code in columns. */
export const DTYPES: readonly Dtype[] = [
  { name: 'BOOL', bits: 8 },
  { name: 'F4', bits: 4 },
  { name: 'F6_E2M3', bits: 6 },
  { name: 'F6_E3M2', bits: 6 },
  { name: 'U8', bits: 8 },
  { name: 'I8', bits: 8 },
  { name: 'F8_E5M2', bits: 8 },
  { name: 'F8_E4M3', bits: 8 },
  { name: 'F8_E8M0', bits: 8 },
  { name: 'F8_E4M3FNUZ', bits: 8 },
  { name: 'F8_E5M2FNUZ', bits: 8 },
  { name: 'I16', bits: 16 },
  { name: 'U16', bits: 16 },
  { name: 'F16', bits: 16 },
  { name: 'BF16', bits: 16 },
  { name: 'I32', bits: 32 },
  { name: 'U32', bits: 32 },
  { name: 'F32', bits: 32 },
  { name: 'C64', bits: 64 },
  { name: 'F64', bits: 64 },
  { name: 'I64', bits: 64 },
  { name: 'U64', bits: 64 },
]

/** Finds a dtype's code by its name, case and all. */
export const DTYPE_NAMES = createWords(DTYPES.map(({ name }) => name))

/**
 * Bytes that `elements` of a dtype occupy. Undefined when their bits don't fill whole bytes or
 * the bytes are more than a double counts exactly.
 */
export function bytesOfElements(code: number, elements: number): number | undefined {
  const bits = DTYPES[code]?.bits ?? 0
  // 8 bits: 1 element fills whole bytes; 4 bits: every 2; 6 bits: every 4 (in 3 bytes).
  const group = bits % 8 === 0 ? 1 : bits === 4 ? 2 : 4
  if (elements % group !== 0) return undefined
  const bytes = (elements / group) * ((bits * group) / 8)
  return Number.isSafeInteger(bytes) ? bytes : undefined
}
