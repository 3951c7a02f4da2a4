import type { Sha256 } from '../registry/names.ts'

const DIGEST_BYTES = 32
const DIGEST_WORDS = DIGEST_BYTES / 4

/**
 * Ranges of files whose SHA-256 a registry tells, tensors and leaves alike, as columns: a large checkpoint has
 * millions of them.
 */
export interface Pieces {
  readonly count: number
  /** DIGEST_BYTES a piece. */
  readonly digests: Uint8Array<ArrayBuffer>
  /** Which file, by the caller's count. */
  readonly files: Uint32Array
  /** Bytes in the file, end exclusive. */
  readonly begins: Float64Array
  readonly ends: Float64Array
}

export interface PiecesBuilder {
  readonly count: number
  /** A piece of no bytes is nothing that could be copied, and left out. */
  add(sha256: Sha256, file: number, begin: number, end: number): void
  finish(): Pieces
}

export function createPieces(): PiecesBuilder {
  let room = 1024
  let count = 0
  let digests = new Uint8Array(room * DIGEST_BYTES)
  let files = new Uint32Array(room)
  let begins = new Float64Array(room)
  let ends = new Float64Array(room)

  function grow(): void {
    room *= 2
    digests = copyInto(new Uint8Array(room * DIGEST_BYTES), digests)
    files = copyInto(new Uint32Array(room), files)
    begins = copyInto(new Float64Array(room), begins)
    ends = copyInto(new Float64Array(room), ends)
  }

  return {
    get count() {
      return count
    },
    add(sha256, file, begin, end) {
      if (begin === end) return
      if (count === room) grow()
      digests.set(Buffer.from(sha256, 'hex'), count * DIGEST_BYTES)
      files[count] = file
      begins[count] = begin
      ends[count] = end
      count += 1
    },
    finish: () => ({ count, digests, files, begins, ends }),
  }
}

function copyInto<T extends Uint8Array | Uint32Array | Float64Array>(larger: T, column: T): T {
  larger.set(column)
  return larger
}

/** The index in `pieces` of one with the same digest and length as the i-th of `others`. */
export type FindSame = (others: Pieces, i: number) => number | undefined

/** Sorts rather than hashes: the digests are a stranger's, and could be chosen to collide in a table. */
export function indexPieces(pieces: Pieces): FindSame {
  const words = wordsOf(pieces)
  const order = Uint32Array.from({ length: pieces.count }, (_, i) => i)
  order.sort((a, b) => compareDigests(words, a, words, b))
  return (others, i) => {
    const sought = wordsOf(others)
    let low = 0
    let high = order.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (compareDigests(words, order[middle] ?? 0, sought, i) < 0) low = middle + 1
      else high = middle
    }
    const found = order[low]
    if (found === undefined || compareDigests(words, found, sought, i) !== 0) return undefined
    return lengthOf(pieces, found) === lengthOf(others, i) ? found : undefined
  }
}

const wordsOf = ({ digests }: Pieces): Uint32Array => new Uint32Array(digests.buffer)

const lengthOf = ({ begins, ends }: Pieces, i: number): number => (ends[i] ?? 0) - (begins[i] ?? 0)

/** Any total order will do. */
function compareDigests(a: Uint32Array, i: number, b: Uint32Array, j: number): number {
  for (let word = 0; word < DIGEST_WORDS; word += 1) {
    const difference = (a[i * DIGEST_WORDS + word] ?? 0) - (b[j * DIGEST_WORDS + word] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
