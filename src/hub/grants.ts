import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

/** What a grant is good for: one thing, by one token, for one object of one checkpoint, for a while. */
export interface Grant {
  readonly purpose: 'put' | 'part' | 'complete' | 'xet'
  readonly tokenId: string
  readonly owner: string
  readonly name: string
  /** SHA-256 (hex) and size of the object; of a session, its random name and 0. */
  readonly oid: string
  readonly size: number
  /** Of a part, counted from 1; 0 for anything else. */
  readonly part: number
}

/**
 * Clients of the Hub upload without their token, to addresses that they were given: so an address is a secret of its own. It
 * says what it is good for, and is signed with a key that lives as long as this process.
 */
export interface Grants {
  readonly issue: (grant: Grant) => string
  /** Undefined for what this process didn't issue, or what has expired. */
  readonly read: (text: string) => Grant | undefined
}

const FORM = /^([A-Za-z0-9_-]{1,1200})\.([A-Za-z0-9_-]{43})$/

export function createGrants(lifetimeMs: number): Grants {
  const key = randomBytes(32)
  const macOf = (text: string): Buffer => createHmac('sha256', key).update(text).digest()

  return {
    issue: ({ purpose, tokenId, owner, name, oid, size, part }) => {
      const expires = Date.now() + lifetimeMs
      const fields = [purpose, tokenId, owner, name, oid, size, part, expires]
      const text = Buffer.from(JSON.stringify(fields)).toString('base64url')
      return `${text}.${macOf(text).toString('base64url')}`
    },
    read: (issued) => {
      const [, text, mac] = FORM.exec(issued) ?? []
      if (text === undefined || mac === undefined) return undefined
      const expected = Buffer.from(macOf(text).toString('base64url'))
      if (!timingSafeEqual(expected, Buffer.from(mac))) return undefined
      // Nobody else wrote it.
      const [purpose, tokenId, owner, name, oid, size, part, expires] = JSON.parse(
        Buffer.from(text, 'base64url').toString(),
      ) as [Grant['purpose'], string, string, string, string, number, number, number]
      if (Date.now() >= expires) return undefined
      return { purpose, tokenId, owner, name, oid, size, part }
    },
  }
}
