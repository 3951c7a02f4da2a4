// Digests in headers, RFC 9530: a structured-field dictionary (RFC 9651 §3.2) of byte sequences. A caller controls
// every character; each pattern here is tried once a member and is linear in its length.

import { RegistryError } from '../errors.ts'
import { parseSha256 } from '../registry/names.ts'
import type { Sha256 } from '../registry/names.ts'
import { trimOws } from './ows.ts'

interface DigestHeaders {
  readonly contentDigest?: string | undefined
  readonly reprDigest?: string | undefined
  /** Hex, in either case. */
  readonly xChecksumSha256?: string | undefined
}

const SHA256_BYTES = 32

const KEY = String.raw`[a-z*][a-z0-9_.*-]*`
/** Boolean, number, string, token, byte sequence: each begins with a character of its own. */
const BARE_ITEM = String.raw`(?:\?[01]|-?[0-9]+(?:\.[0-9]+)?|"(?:[ !#-[\]-~]|\\["\\])*"|[A-Za-z*][A-Za-z0-9!#$%&'*+.^_${'`'}|~:/-]*|:[A-Za-z0-9+/=]*:)`
/** `key=:BASE64:`, then parameters, which RFC 9530 gives no meaning. */
const MEMBER = new RegExp(`(${KEY})=:([A-Za-z0-9+/]*)=*:(?:; *${KEY}(?:=${BARE_ITEM})?)*`, 'y')
const COMMA = /[ \t]*,[ \t]*/y

function unreadable(field: string, detail: string): RegistryError {
  return new RegistryError('INVALID_REQUEST', `The ${field} header can't be read: it ${detail}.`, {
    errors: [{ field, detail }],
  })
}

function isTruncated(base64: string): boolean {
  return base64.length % 4 === 1
}

/**
 * Digests by algorithm; of a key that comes twice the last counts (RFC 9651 §4.2.2). Throws INVALID_REQUEST naming
 * `field` for anything but a dictionary of byte sequences, or a sha-256 that isn't 32 bytes.
 */
export function parseDigestHeader(value: string, field = 'repr-digest'): Map<string, Uint8Array> {
  const syntax = () => unreadable(field, 'must be like sha-256=:BASE64:')
  const digests = new Map<string, Uint8Array>()
  const text = trimOws(value)
  const member = new RegExp(MEMBER)
  const comma = new RegExp(COMMA)
  while (member.lastIndex < text.length) {
    const match = member.exec(text)
    if (match === null) throw syntax()
    const [, algorithm = '', base64 = ''] = match
    if (isTruncated(base64)) throw syntax()
    digests.set(algorithm, Buffer.from(base64, 'base64'))
    if (member.lastIndex === text.length) return checkLength(digests, field)
    comma.lastIndex = member.lastIndex
    if (!comma.test(text) || comma.lastIndex === text.length) throw syntax()
    member.lastIndex = comma.lastIndex
  }
  return digests
}

function checkLength(digests: Map<string, Uint8Array>, field: string): Map<string, Uint8Array> {
  const sha256 = digests.get('sha-256')
  if (sha256 !== undefined && sha256.length !== SHA256_BYTES)
    throw unreadable(field, `must give ${SHA256_BYTES} bytes for sha-256`)
  return digests
}

function sha256In(value: string | undefined, field: string): Sha256 | undefined {
  if (value === undefined) return undefined
  const digest = parseDigestHeader(value, field).get('sha-256')
  return digest && parseSha256(Buffer.from(digest).toString('hex'), field)
}

/**
 * What the client believes the body's SHA-256 to be, if it says so; other algorithms are ignored. Both RFC 9530
 * headers mean the same bytes here, for no content coding is accepted. Throws INVALID_REQUEST for a header that can't
 * be read, and for headers that contradict each other.
 */
export function expectedSha256(headers: DigestHeaders): Sha256 | undefined {
  const { contentDigest, reprDigest, xChecksumSha256 } = headers
  const told = [
    sha256In(contentDigest, 'content-digest'),
    sha256In(reprDigest, 'repr-digest'),
    xChecksumSha256 === undefined
      ? undefined
      : parseSha256(trimOws(xChecksumSha256), 'x-checksum-sha256'),
  ].filter((digest) => digest !== undefined)
  if (new Set(told).size > 1)
    throw new RegistryError('INVALID_REQUEST', 'The digest headers contradict each other.', {
      errors: [{ field: 'repr-digest', detail: 'must agree with the other digest headers' }],
    })
  return told[0]
}

/** The value of a Repr-Digest, from hex. */
export function formatReprDigest(sha256: string): string {
  return `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`
}
