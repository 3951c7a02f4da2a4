// Readers of JSON that a server sent, which may be no registry, or a hostile one. Each takes one shape and
// returns it typed, or throws UntrustedError saying where it isn't.

import { RegistryError } from '../errors.ts'
import {
  type FilePath,
  parseCheckpointName,
  parseFilePath,
  parseSha256,
  type Sha256,
} from '../registry/names.ts'
import { UntrustedError } from './failures.ts'

export type Read<T> = (value: unknown, where: string) => T

const unlike = (where: string, wanted: string): UntrustedError =>
  new UntrustedError(`The server's answer is not a registry's: ${where} is not ${wanted}.`)

export const text: Read<string> = (value, where) => {
  if (typeof value !== 'string' || !value.isWellFormed()) throw unlike(where, 'a string')
  return value
}

export const flag: Read<boolean> = (value, where) => {
  if (typeof value !== 'boolean') throw unlike(where, 'true or false')
  return value
}

/** A whole number from 0 to 2^53 − 1. */
export const count: Read<number> = (value, where) => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw unlike(where, 'a whole number')
  }
  return value
}

/** Any number that JSON can say. */
export const number: Read<number> = (value, where) => {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw unlike(where, 'a number')
  return value
}

export const nullable =
  <T>(read: Read<T>): Read<T | null> =>
  (value, where) =>
    value === null ? null : read(value, where)

export const optional =
  <T>(read: Read<T>): Read<T | undefined> =>
  (value, where) =>
    value === undefined ? undefined : read(value, where)

export const list =
  <T>(read: Read<T>): Read<readonly T[]> =>
  (value, where) => {
    if (!Array.isArray(value)) throw unlike(where, 'a list')
    return value.map((item, i) => read(item, `${where}[${i}]`))
  }

export const record: Read<Readonly<Record<string, unknown>>> = (value, where) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw unlike(where, 'an object')
  }
  return value as Record<string, unknown>
}

/** An object of strings, without a prototype: `__proto__` is a key like any other. */
export const strings: Read<Readonly<Record<string, string>>> = (value, where) => {
  const read = Object.create(null) as Record<string, string>
  for (const [key, item] of Object.entries(record(value, where))) read[key] = text(item, where)
  return read
}

type Shape = Readonly<Record<string, Read<unknown>>>

/** The members named in `shape`; others are left out. */
export const object =
  <S extends Shape>(shape: S): Read<{ readonly [K in keyof S]: ReturnType<S[K]> }> =>
  (value, where) => {
    const members = record(value, where)
    const read = Object.entries(shape).map(([key, member]) => [
      key,
      member(Object.hasOwn(members, key) ? members[key] : undefined, `${where}.${key}`),
    ])
    return Object.fromEntries(read) as { readonly [K in keyof S]: ReturnType<S[K]> }
  }

function parsed<T>(parse: (text: string) => T, wanted: string): Read<T> {
  return (value, where) => {
    try {
      return parse(text(value, where))
    } catch (error) {
      if (error instanceof RegistryError) throw unlike(where, wanted)
      throw error
    }
  }
}

/** `owner/name`, as it is. */
export const checkpointName: Read<string> = parsed((text) => {
  const slash = text.indexOf('/')
  parseCheckpointName(text.slice(0, Math.max(0, slash)), text.slice(slash + 1))
  return text
}, 'owner/name')

export const sha256: Read<Sha256> = parsed((hex) => parseSha256(hex), 'a SHA-256')
export const filePath: Read<FilePath> = parsed(parseFilePath, 'a path inside a version')
