import type { Blob } from '../../db/ledger.ts'
import type { Cover, Runs } from '../safetensors/strides.ts'
import type { ReadContext, ReadVerified } from './read-verified.ts'

/** A stretch of a blob, and what of it is wanted. */
export interface BlobCover extends Cover {
  readonly blob: Blob
  readonly context: ReadContext
}

/** Runs of this length and more go out from where they were verified, shorter ones are copied together. */
const DIRECT_BYTES = 64 * 1024
/** Of which the first leaf is read ahead: a cover is often no more than that. */
const COVERS_AHEAD = 3
/** Few bytes far apart are sent before there are many of them: a connection on which nothing moves is closed. */
const QUIET_PIECES = 16

/**
 * The runs of the covers, one after the other, each byte checked. What isn't wanted of a cover is read and
 * checked, and left out. Holds at most 64 KiB beside the piece that is being read. A piece is valid until the
 * next one is asked for. `taken` counts the bytes of each file, by its path.
 *
 * @throws {RegistryError} INTEGRITY_FAILURE, before any byte of a chunk that doesn't hold.
 */
export async function* gather(
  read: ReadVerified,
  covers: Iterable<BlobCover>,
  taken?: Map<string, number>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const sheaf = createSheaf()
  let quiet = 0
  for (const [cover, ...later] of withNext(covers, COVERS_AHEAD)) {
    const { blob, context, begin, end, runs } = cover
    const next = later.filter((other) => other.blob === blob).map((other) => other.begin)
    const wanted = createWanted(runs, (bytes) => {
      taken?.set(context.path, (taken.get(context.path) ?? 0) + bytes)
    })
    let at = begin
    for await (const piece of read(blob, { begin, end }, context, next)) {
      quiet += 1
      for (const bytes of wanted.of(piece, at, sheaf)) {
        quiet = 0
        yield bytes
      }
      at += piece.length
      if (quiet < QUIET_PIECES || sheaf.isEmpty()) continue
      quiet = 0
      yield sheaf.take()
    }
  }
  if (!sheaf.isEmpty()) yield sheaf.take()
}

/** Each item, and up to `count` of those after it. */
function* withNext<T>(items: Iterable<T>, count: number): Generator<readonly [T, ...T[]]> {
  const window: T[] = []
  for (const item of items) {
    window.push(item)
    if (window.length <= count) continue
    const [first, ...rest] = window
    if (first !== undefined) yield [first, ...rest]
    window.shift()
  }
  for (let [first, ...rest] = window; first !== undefined; [first, ...rest] = rest)
    yield [first, ...rest]
}

/** What is collected to be sent at once. */
interface Sheaf {
  readonly room: () => number
  readonly isEmpty: () => boolean
  /** Copies `count` stretches of `length`, the first from `from` on; there is room for them. */
  readonly add: (piece: Uint8Array, from: number, runs: Omit<Runs, 'from'>) => void
  /** All of it; it stays as it is until something is added. */
  readonly take: () => Uint8Array
}

function createSheaf(): Sheaf {
  const bytes = new Uint8Array(DIRECT_BYTES)
  let filled = 0

  function add(piece: Uint8Array, from: number, { length, stride, count }: Omit<Runs, 'from'>) {
    for (let i = 0, at = from; i < count; i++, at += stride) {
      // A view costs more than copying a few numbers.
      if (length > 32) bytes.set(piece.subarray(at, at + length), filled)
      else for (let j = 0; j < length; j++) bytes[filled + j] = piece[at + j] ?? 0
      filled += length
    }
  }

  return {
    room: () => bytes.length - filled,
    isEmpty: () => filled === 0,
    add,
    take: () => {
      const taken = bytes.subarray(0, filled)
      filled = 0
      return taken
    },
  }
}

/** Walks along runs as the pieces of their cover come in. */
function createWanted(runs: Iterable<Runs>, onTaken: (bytes: number) => void) {
  const iterator = runs[Symbol.iterator]()
  let current = iterator.next()
  /** Of the current runs: whole ones that are done, and bytes of the one that has begun. */
  let done = 0
  let inside = 0

  /** A stretch of whole runs, or a part of one. */
  function advance({ length, count }: Runs, bytes: number): void {
    onTaken(bytes)
    inside += bytes
    done += Math.floor(inside / length)
    inside %= length
    if (done < count) return
    current = iterator.next()
    done = 0
  }

  /** Adds to the sheaf what the piece, whose first byte is `position` of the file, has of the runs. */
  function* of(piece: Uint8Array, position: number, sheaf: Sheaf): Generator<Uint8Array> {
    while (current.done !== true) {
      const { from, length, stride, count } = current.value
      const at = from + done * stride + inside - position
      const left = piece.length - at
      if (left <= 0) return
      const fitting = Math.min(
        count - done,
        Math.floor(sheaf.room() / length),
        left < length ? 0 : Math.floor((left - length) / stride) + 1,
      )
      const part = Math.min(length - inside, left)
      if (inside === 0 && fitting > 0) {
        sheaf.add(piece, at, { length, stride, count: fitting })
        advance(current.value, fitting * length)
      } else if (part >= DIRECT_BYTES) {
        if (!sheaf.isEmpty()) yield sheaf.take()
        yield piece.subarray(at, at + part)
        advance(current.value, part)
      } else {
        if (sheaf.room() === 0) yield sheaf.take()
        const some = Math.min(part, sheaf.room())
        sheaf.add(piece, at, { length: some, stride: some, count: 1 })
        advance(current.value, some)
      }
    }
  }

  return { of }
}
