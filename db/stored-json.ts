import { LedgerDamaged } from './ledger.ts'

// JSON that the ledger wrote into its columns. What it couldn't have written is damage, not a bug.

/** @throws LedgerDamaged; `what` says of which column, `path` of which file. */
function stored<T>(text: string, is: (value: unknown) => value is T, what: string, path = ''): T {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new LedgerDamaged(`${what} is not JSON`, path, { cause: error })
  }
  if (!is(value)) throw new LedgerDamaged(`${what} is not what the ledger writes there`, path)
  return value
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isString = (value: unknown): value is string => typeof value === 'string'

const isStrings = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every(isString)

const isStringMap = (value: unknown): value is Readonly<Record<string, string>> =>
  isObject(value) && Object.values(value).every(isString)

const isShape = (value: unknown): value is readonly number[] =>
  Array.isArray(value) && value.every((dim) => Number.isSafeInteger(dim) && dim >= 0)

export const storedObject = (text: string, what: string): Readonly<Record<string, unknown>> =>
  stored(text, isObject, what)

export const storedStrings = (text: string, what: string): readonly string[] =>
  stored(text, isStrings, what)

export const storedStringMap = (
  text: string,
  what: string,
  path?: string,
): Readonly<Record<string, string>> => stored(text, isStringMap, what, path)

export const storedShape = (text: string, path?: string): readonly number[] =>
  stored(text, isShape, "a tensor's shape", path)
