// Xorbs and shards as an honest or a dishonest client of Xet would write them.

/** A name for a xorb; it reads the same in a URL and backwards in a shard. */
export const hashOf = (name: number): string => Buffer.alloc(32, name + 1).toString('hex')

interface Chunk {
  readonly scheme: number
  /** What its header says that it holds. */
  readonly rawBytes: number
  readonly data: Uint8Array
}

export const xorbOf = (chunks: readonly Chunk[]): Buffer =>
  Buffer.concat(
    chunks.flatMap(({ scheme, rawBytes, data }) => {
      const header = Buffer.alloc(8)
      header.writeUIntLE(data.length, 1, 3)
      header.writeUInt8(scheme, 4)
      header.writeUIntLE(rawBytes, 5, 3)
      return [header, data]
    }),
  )

export const rawXorb = (pieces: readonly Uint8Array[]): Buffer =>
  xorbOf(pieces.map((data) => ({ scheme: 0, rawBytes: data.length, data })))

interface Term {
  readonly xorb: number
  readonly begin: number
  readonly end: number
  readonly bytes: number
}

const MAGIC = '48465265706f4d6574614461746100556967456a7b815783a5bdd95ccdd14aa9'
const HAS_SHA = 0x4000_0000

function entry(hash: string, ...words: readonly number[]): Buffer {
  const bytes = Buffer.alloc(48)
  bytes.write(hash, 'hex')
  words.forEach((word, i) => bytes.writeUInt32LE(word, 32 + i * 4))
  return bytes
}

/** Eight by eight backwards, as a shard has it. */
const backwards = (hex: string): string =>
  (hex.match(/.{16}/g) ?? [])
    .map((word) => Buffer.from(word, 'hex').reverse().toString('hex'))
    .join('')

export const shardOf = (
  files: readonly {
    readonly sha256: string | undefined
    readonly terms: readonly Term[]
    /** How often all of them come, one after the other; once unless told. */
    readonly times?: number
  }[],
): Buffer => {
  const bookend = entry('ff'.repeat(32))
  return Buffer.concat([
    entry(MAGIC, 2),
    ...files.flatMap(({ sha256, terms, times = 1 }) => [
      entry(hashOf(0), sha256 === undefined ? 0 : HAS_SHA, terms.length * times),
      Buffer.alloc(
        terms.length * times * 48,
        Buffer.concat(
          terms.map(({ xorb, bytes, begin, end }) => entry(hashOf(xorb), 0, bytes, begin, end)),
        ),
      ),
      ...(sha256 === undefined ? [] : [entry(backwards(sha256))]),
    ]),
    bookend,
    bookend,
  ])
}
