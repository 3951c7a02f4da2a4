import { constants, inflateRawSync } from 'node:zlib'

/** Unpacks what deflate packed: @returns as much as comes out, and whether that is all. */
export type Inflate = (packed: Buffer, most: number) => Inflated

export interface Inflated {
  readonly bytes: Buffer
  readonly isWhole: boolean
  /** Of what was packed. */
  readonly usedBytes: number
}

/** Tries in all to find out how far damaged streams, and those that would fill the memory, can be read. */
const MOST_TRIES = 48

/**
 * A reader of streams hands out what comes before a fault, and a pickle that ends there has run: so the fault, a wrong
 * checksum or what is beyond the limit hides nothing here.
 */
export function createInflate(): Inflate {
  let tries = MOST_TRIES

  return (packed, most) => {
    const all = attempt(packed, most)
    if (all !== undefined) return all
    // The longest beginning that unpacks.
    let good = 0
    let bad = packed.length
    let found: Inflated = { bytes: Buffer.alloc(0), isWhole: false, usedBytes: 0 }
    for (; bad - good > 1 && tries > 0; tries -= 1) {
      const middle = Math.floor((good + bad) / 2)
      const part = attempt(packed.subarray(0, middle), most)
      if (part === undefined) bad = middle
      else {
        good = middle
        found = part
      }
    }
    return { ...found, isWhole: false }
  }
}

function attempt(packed: Buffer, most: number): Inflated | undefined {
  try {
    const { buffer, engine } = inflateRawSync(packed, {
      maxOutputLength: Math.max(1, most),
      finishFlush: constants.Z_SYNC_FLUSH,
      info: true,
    }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } }
    return { bytes: buffer, isWhole: true, usedBytes: engine.bytesWritten }
  } catch {
    return undefined
  }
}

/** Where the deflated bytes of a gzip member begin (RFC 1952 §2.3); undefined where there is none. */
export function gzipBegin(packed: Buffer, at: number): number | undefined {
  if (packed.length - at < 10 || packed[at] !== 0x1f || packed[at + 1] !== 0x8b) return undefined
  const flags = packed[at + 3] ?? 0
  let next = at + 10
  if ((flags & EXTRA) !== 0) {
    if (next + 2 > packed.length) return undefined
    next += 2 + packed.readUInt16LE(next)
  }
  for (const text of [NAME, COMMENT])
    if ((flags & text) !== 0) {
      const end = packed.indexOf(0, next)
      if (end === -1) return undefined
      next = end + 1
    }
  return (flags & CHECKSUM) === 0 ? next : next + 2
}

const CHECKSUM = 2
const EXTRA = 4
const NAME = 8
const COMMENT = 16
/** Of a member: CRC-32 and length. */
const GZIP_TRAILER_BYTES = 8

/** The members of a gzip file, one behind the other as one. */
export function gunzip(packed: Buffer, most: number, inflate: Inflate): Inflated {
  const parts: Buffer[] = []
  let length = 0
  let isWhole = true
  let at = 0
  for (let begin = gzipBegin(packed, 0); begin !== undefined && isWhole;) {
    const part = inflate(packed.subarray(begin), most - length)
    parts.push(part.bytes)
    length += part.bytes.length
    isWhole = part.isWhole
    at = begin + part.usedBytes + GZIP_TRAILER_BYTES
    while (packed[at] === 0) at += 1
    begin = parts.length < MOST_MEMBERS ? gzipBegin(packed, at) : undefined
  }
  return { bytes: Buffer.concat(parts), isWhole, usedBytes: Math.min(at, packed.length) }
}

const MOST_MEMBERS = 10_000
