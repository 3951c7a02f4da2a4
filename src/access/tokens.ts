// A token is a secret that only its bearer has: the ledger holds its digest.

import { createHash, randomBytes } from 'node:crypto'

type Bearer =
  /** No credentials, or those of another scheme, which RFC 6750 §3.1 treats alike. */
  | { readonly kind: 'none' }
  | { readonly kind: 'malformed' }
  | { readonly kind: 'token'; readonly token: string }

/** 256 random bits, so that a plain SHA-256 of it can't be searched. */
export function newTokenSecret(): string {
  return `sr_${randomBytes(32).toString('base64url')}`
}

/** SHA-256 (32 bytes) of a token as presented; a client that insists on the Hub's prefix may send `hf_sr_…`. */
export function tokenDigest(presented: string): Uint8Array {
  const token = presented.startsWith('hf_sr_') ? presented.slice('hf_'.length) : presented
  return createHash('sha256').update(token).digest()
}

/** Reads an Authorization header (RFC 6750 §2.1, the scheme in any case), which a caller controls. */
export function parseBearer(header: string | undefined): Bearer {
  if (header === undefined || !/^bearer(?: |$)/i.test(header)) return { kind: 'none' }
  const [, token] = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(header) ?? []
  return token === undefined ? { kind: 'malformed' } : { kind: 'token', token }
}
