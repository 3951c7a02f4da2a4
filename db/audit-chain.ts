import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** An entry as the ledger stores it: absent values are null, details is the JSON text that was hashed. */
export interface AuditRow {
  readonly seq: number
  readonly at: string
  readonly action: string
  readonly actor_id: string | null
  readonly actor_name: string | null
  readonly address: string | null
  readonly subject: string | null
  readonly revision: string | null
  readonly outcome: string
  readonly details: string | null
  readonly prev_hash: string
  readonly hash: string
}

/** What the first entry holds in place of the hash of the one before it. */
export const FIRST_PREV_HASH = '0'.repeat(64)

/** Hex SHA-256 of an entry and, through `prev_hash`, of everything before it; migrations/0001 states the form. */
export function entryHash(row: Omit<AuditRow, 'hash'>): string {
  const { prev_hash, seq, at, action, actor_id, actor_name, address, subject, revision } = row
  const { outcome, details } = row
  const said = [actor_id, actor_name, address, subject, revision, outcome, details]
  return createHash('sha256')
    .update(JSON.stringify([prev_hash, seq, at, action, ...said]))
    .digest('hex')
}

/** Hex HMAC-SHA-256 of the head `seq:hash`, so that only the key's holder can write a head that passes. */
export const headMac = (key: Uint8Array, seq: number, hash: string): string =>
  createHmac('sha256', key).update(`${seq}:${hash}`).digest('hex')

export function isHeadMac(key: Uint8Array, seq: number, hash: string, mac: string): boolean {
  const expected = Buffer.from(headMac(key, seq, hash))
  const actual = Buffer.from(mac)
  return expected.length === actual.length && timingSafeEqual(expected, actual)
}
