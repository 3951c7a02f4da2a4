import { READ_BYTES } from './read-through.ts'
import { ConversionRefused } from './refused.ts'
import type { Source } from './source.ts'
import { isContiguous, type View } from './views.ts'

/** Of a view's bytes at once; as much is read for it. */
const PIECE_BYTES = 16 * 1024 * 1024
/** Reading so many bytes too much costs about what another read does. */
const READ_COSTS_BYTES = 16 * 1024

/** Scattered elements cost a read each: of all bytes of the file, with 64 MiB more, so often. A conversion reads twice. */
const MOST_TIMES = 1024
const SLACK_BYTES = 64 * 1024 * 1024

/** Part of a view: where it begins, in bytes of the source, and its dimensions in elements. */
interface Block {
  readonly begin: number
  readonly sizes: readonly number[]
  readonly strides: readonly number[]
}

/**
 * The bytes of a view, row by row, in pieces of at most 16 MiB, each of them gone when the next is asked for. Memory is
 * the same whatever the view.
 *
 * @param storageBegin of the storage, in the source.
 * @throws {ConversionRefused}
 */
export type ReadView = (storageBegin: number, view: View) => Generator<Uint8Array>

/** Reads the views of one file, of which some may cost many reads and all together not too many. */
export function createViewReader(source: Source): ReadView {
  let left = MOST_TIMES * (source.sizeBytes + SLACK_BYTES)
  let piece: Uint8Array | undefined
  let held: { readonly read: ArrayBuffer; readonly written: Uint8Array } | undefined

  function spend(costBytes: number): void {
    left -= costBytes
    if (left < 0)
      throw new ConversionRefused('limit', 'its tensors lie too scattered in their storages')
  }

  return (storageBegin, view) => {
    const begin = storageBegin + view.beginByte
    if (isContiguous(view)) {
      piece ??= new Uint8Array(Math.min(READ_BYTES, source.sizeBytes))
      return bytesInOrder(source, begin, view, piece)
    }
    held ??= { read: new ArrayBuffer(PIECE_BYTES), written: new Uint8Array(PIECE_BYTES) }
    const gather = createGather(source, view.elementBytes, held.read, spend)
    return gathered(gather, begin, view, held.written)
  }
}

function* bytesInOrder(
  source: Source,
  begin: number,
  view: View,
  buffer: Uint8Array,
): Generator<Uint8Array> {
  for (let at = 0; at < view.sizeBytes; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, view.sizeBytes - at))
    source.fill(piece, begin + at)
    yield piece
  }
}

function* gathered(
  gather: Gather,
  begin: number,
  view: View,
  buffer: Uint8Array,
): Generator<Uint8Array> {
  for (const block of blocksOf(
    { begin, sizes: view.shape, strides: view.strides },
    view.elementBytes,
  )) {
    const piece = buffer.subarray(0, elementsOf(block) * view.elementBytes)
    gather(block, piece)
    yield piece
  }
}

const elementsOf = ({ sizes }: Block): number => sizes.reduce((product, size) => product * size, 1)

/** In order, each of at most PIECE_BYTES: whole rows where they fit, else parts of them. */
function* blocksOf(block: Block, elementBytes: number): Generator<Block> {
  const bytes = elementsOf(block) * elementBytes
  if (bytes === 0) return
  if (bytes <= PIECE_BYTES) {
    yield block
    return
  }
  const [rows = 1, ...sizes] = block.sizes
  const [stride = 0, ...strides] = block.strides
  const together = Math.max(1, Math.floor(PIECE_BYTES / (bytes / rows)))
  for (let row = 0; row < rows; row += together) {
    const begin = block.begin + row * stride * elementBytes
    const count = Math.min(together, rows - row)
    const part = { begin, sizes: [count, ...sizes], strides: [stride, ...strides] }
    if (count > 1 || elementsOf(part) * elementBytes <= PIECE_BYTES) yield part
    else yield* blocksOf({ begin, sizes, strides }, elementBytes)
  }
}

/** Fills `into` with a block's elements. */
type Gather = (block: Block, into: Uint8Array) => void

/** @param held PIECE_BYTES to read into */
function createGather(
  source: Source,
  elementBytes: number,
  held: ArrayBuffer,
  spend: (costBytes: number) => void,
): Gather {
  // Elements of eight bytes are moved as two of four: a number read as a float could come out as another NaN.
  const laneBytes = Math.min(elementBytes, 4)
  const lanes: Dimension = { size: elementBytes / laneBytes, read: 1, write: 1 }
  const heldLanes = lanesOf(laneBytes, held, 0, PIECE_BYTES)

  function gather(block: Block, into: Uint8Array): void {
    const written = writtenStrides(block.sizes)
    const dimensions = block.sizes
      .map((size, i) => ({
        size,
        read: (block.strides[i] ?? 0) * lanes.size,
        write: (written[i] ?? 0) * lanes.size,
      }))
      // One of 1 steps nowhere. The others by how far they step, so that what lies together is read together.
      .filter(({ size }) => size > 1)
      .sort((a, b) => b.read - a.read)
    const target = lanesOf(laneBytes, into.buffer, into.byteOffset, into.byteLength)
    const all = lanes.size > 1 ? [...dimensions, lanes] : dimensions
    const reads = readsOf(all, laneBytes)
    spend(reads.costBytes)
    fillFrom(all, reads, block.begin, 0, target)
  }

  function fillFrom(
    dimensions: readonly Dimension[],
    reads: Reads,
    begin: number,
    to: number,
    target: Lanes,
  ): void {
    const [outer = ONE, ...inner] = dimensions
    if (reads.inner === undefined) {
      source.fill(new Uint8Array(held, 0, reads.extentBytes), begin)
      spread(dimensions, 0, 0, to, target)
      return
    }
    for (let i = 0; i < outer.size; i += 1)
      fillFrom(inner, reads.inner, begin + i * outer.read * laneBytes, to + i * outer.write, target)
  }

  /** From what is held to where it is written. */
  function spread(
    dimensions: readonly Dimension[],
    first: number,
    from: number,
    to: number,
    target: Lanes,
  ): void {
    const { size, read, write } = dimensions[first] ?? ONE
    if (first >= dimensions.length - 1) {
      for (let i = 0; i < size; i += 1) target[to + i * write] = heldLanes[from + i * read] ?? 0
      return
    }
    for (let i = 0; i < size; i += 1)
      spread(dimensions, first + 1, from + i * read, to + i * write, target)
  }

  return gather
}

/** How dimensions are read: all that lies between their first and last element at once, or the inner ones one by one. */
interface Reads {
  readonly extentBytes: number
  /** What reading costs, as bytes. */
  readonly costBytes: number
  /** Undefined where all is read at once. */
  readonly inner: Reads | undefined
}

/** The cheaper way. */
function readsOf(dimensions: readonly Dimension[], laneBytes: number): Reads {
  let reads: Reads = { extentBytes: laneBytes, costBytes: READ_COSTS_BYTES + laneBytes, inner: undefined } // prettier-ignore
  for (const { size, read } of dimensions.toReversed()) {
    const extentBytes = reads.extentBytes + (size - 1) * read * laneBytes
    const together = extentBytes <= PIECE_BYTES ? READ_COSTS_BYTES + extentBytes : Infinity
    const apart = size * reads.costBytes
    reads =
      together <= apart
        ? { extentBytes, costBytes: together, inner: undefined }
        : { extentBytes, costBytes: apart, inner: reads }
  }
  return reads
}

/** A single element. */
const ONE: Dimension = { size: 1, read: 1, write: 1 }

type Lanes = Uint8Array | Uint16Array | Uint32Array

function lanesOf(bytes: number, buffer: ArrayBufferLike, begin: number, length: number): Lanes {
  if (bytes === 1) return new Uint8Array(buffer, begin, length)
  if (bytes === 2) return new Uint16Array(buffer, begin, length / 2)
  return new Uint32Array(buffer, begin, length / 4)
}

/** A dimension's size, and the lanes from one element to the next where it is read and where it is written. */
interface Dimension {
  readonly size: number
  readonly read: number
  readonly write: number
}

function writtenStrides(sizes: readonly number[]): number[] {
  const strides: number[] = []
  let step = 1
  for (const size of sizes.toReversed()) {
    strides.unshift(step)
    step *= size
  }
  return strides
}
