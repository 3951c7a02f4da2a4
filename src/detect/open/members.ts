import { DetectorRefused } from '../refused.ts'

/** An object of the settings, read member by member. A member that is missing, or not of its kind, is refused by name. */
export interface Members {
  readonly has: (name: string) => boolean
  /** Refuses the object; with a name, that member of it. */
  readonly refuse: (sentence: string, name?: string) => never
  readonly integer: (name: string, least: number, most: number) => number
  /** Finite, and between the two. */
  readonly number: (name: string, least: number, most: number) => number
  readonly boolean: (name: string) => boolean
  /** Of 1 to `most` UTF-16 units, without control characters or halves of a surrogate pair. */
  readonly line: (name: string, most: number) => string
  /** As `line`, with control characters, and empty if need be. */
  readonly text: (name: string, most: number) => string
  readonly choice: <const T extends string>(name: string, choices: readonly T[]) => T
  /** A list, and how an item of it is named. */
  readonly list: (name: string, least: number, most: number) => readonly Item[]
  readonly object: (name: string) => Members
  /** An object of whatever form. */
  readonly json: (name: string) => Record<string, unknown>
  /** Whether a member that must be there is null, and read if it is. */
  readonly isNull: (name: string) => boolean
  /** Whether a member is true or false; it isn't read yet. */
  readonly isBoolean: (name: string) => boolean
  /** The names of the members. */
  readonly names: () => readonly string[]
  /** All was read: what wasn't is unknown, and refused. */
  readonly end: () => void
}

export interface Item {
  readonly value: unknown
  readonly where: string
}

/** @throws DetectorRefused when it isn't an object */
export function membersOf({ value, where }: Item): Members {
  if (!isObject(value)) return refuseAt(where, 'is not an object')
  const object = value
  const unread = new Set(Object.keys(object))

  const pathOf = (name: string): string => (where === 'settings' ? name : `${where}.${name}`)
  const refuse = (sentence: string, name?: string): never =>
    refuseAt(name === undefined ? where : pathOf(name), sentence)

  function take(name: string): unknown {
    if (!Object.hasOwn(object, name)) refuse('is missing', name)
    unread.delete(name)
    return object[name]
  }

  function number(name: string, least: number, most: number): number {
    const value = take(name)
    if (typeof value !== 'number' || !(value >= least && value <= most))
      return refuse(`wants a number from ${least} to ${most}, not ${shown(value)}`, name)
    return value
  }

  function text(name: string, most: number): string {
    const value = take(name)
    if (typeof value !== 'string' || value.length > most || !value.isWellFormed())
      return refuse(`wants Unicode text of at most ${most} UTF-16 units`, name)
    return value
  }

  return {
    has: (name) => Object.hasOwn(object, name),
    refuse,
    number,
    text,
    integer(name, least, most) {
      const value = number(name, least, most)
      if (!Number.isInteger(value)) refuse(`wants an integer, not ${shown(value)}`, name)
      return value
    },
    boolean(name) {
      const value = take(name)
      return typeof value === 'boolean' ? value : refuse('wants true or false', name)
    },
    line(name, most) {
      const value = text(name, most)
      if (value === '' || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(value)) refuse('wants one line', name)
      return value
    },
    choice(name, choices) {
      const value = take(name)
      const choice = choices.find((one) => one === value)
      return choice ?? refuse(`wants one of ${choices.join(', ')}, not ${shown(value)}`, name)
    },
    list(name, least, most) {
      const value: unknown = take(name)
      if (!Array.isArray(value)) return refuse('wants a list', name)
      if (value.length < least || value.length > most)
        refuse(`wants ${least} to ${most} items, not ${value.length}`, name)
      return value.map((item: unknown, i) => ({ value: item, where: `${pathOf(name)}[${i}]` }))
    },
    object: (name) => membersOf({ value: take(name), where: pathOf(name) }),
    json(name) {
      const value = take(name)
      return isObject(value) ? value : refuse('is not an object', name)
    },
    isNull: (name) => take(name) === null,
    isBoolean: (name) => typeof object[name] === 'boolean',
    names: () => Object.keys(object),
    end() {
      for (const name of unread) refuse('is not a member that this version knows', shortened(name))
    },
  }
}

export function refuseAt(where: string, sentence: string): never {
  throw new DetectorRefused(where, sentence)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A value of the file in a sentence: short, whatever it is. */
function shown(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return typeof value === 'string' ? JSON.stringify(shortened(value)) : kindOf(value)
}

const shortened = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text)

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'a list' : 'an object'
}
