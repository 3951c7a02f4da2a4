import { refuseAt } from '../open/members.ts'
import { FLOAT_BYTES, type FloatDtype, floatDtypeOf, floatsOf } from './float-values.ts'
import type { StoredTensor } from './tensor-file.ts'

/** What is held of a matrix whose latents do not lie together, and so take several readings of it. */
const HELD_BYTES = 128 * 1024 * 1024
/** The limits of docs/detector-format.md. */
const MAX_LATENTS = 1_048_576
const MAX_COLUMNS = 16_384
const BLOCK_BYTES = 2 * 1024 * 1024

/** A matrix of an SAE: a vector of `columns` numbers for each of `latents`, whichever way they lie. */
export interface Matrix {
  readonly name: string
  readonly dtype: FloatDtype
  readonly latents: number
  readonly columns: number
  /** A latent's numbers lie together. */
  readonly isByLatent: boolean
  readonly read: () => AsyncIterable<Uint8Array>
}

/** @param latentDimension of the tensor's two, the one that counts latents. @throws {DetectorRefused} */
export function matrixFrom(tensor: StoredTensor, latentDimension: 0 | 1): Matrix {
  const { name, shape, fastest, read } = tensor
  if (shape.length !== 2) refuseAt(`tensor ${name}`, `has ${shape.length} dimensions, not two`)
  const latents = shape[latentDimension] ?? 0
  const columns = shape[1 - latentDimension] ?? 0
  if (latents < 1 || latents > MAX_LATENTS || columns < 1 || columns > MAX_COLUMNS)
    refuseAt(`tensor ${name}`, `has the shape [${shape.join(', ')}], which no SAE has here`)
  const isByLatent = (latentDimension === 0) === (fastest === 'last')
  return { name, dtype: floatDtypeOf(tensor), latents, columns, isByLatent, read }
}

/** Some latents' numbers, as the file has them. */
export interface LatentRows {
  /** Their numbers, ascending. */
  readonly latents: Uint32Array
  /** Row after row. */
  readonly bytes: Uint8Array
}

/**
 * The numbers of the latents that are asked for, in order, some at a time. What is held at once is bounded whatever the
 * matrix; where a latent's numbers do not lie together it is read as many times as that takes.
 *
 * @param wanted ascending
 */
export function rowsOf(
  matrix: Matrix,
  wanted: Uint32Array,
  heldBytes = HELD_BYTES,
): AsyncGenerator<LatentRows> {
  return matrix.isByLatent ? rowsInOrder(matrix, wanted) : rowsGathered(matrix, wanted, heldBytes)
}

async function* rowsInOrder(matrix: Matrix, wanted: Uint32Array): AsyncGenerator<LatentRows> {
  const rowBytes = matrix.columns * FLOAT_BYTES[matrix.dtype]
  let next = 0
  for await (const { first, bytes } of lines(matrix, rowBytes)) {
    const end = first + bytes.length / rowBytes
    const begin = next
    while (next < wanted.length && (wanted[next] ?? 0) < end) next += 1
    if (next === begin) continue
    const latents = wanted.subarray(begin, next)
    yield { latents, bytes: latents.length === end - first ? bytes : picked(latents) }

    function picked(some: Uint32Array): Uint8Array {
      const rows = new Uint8Array(some.length * rowBytes)
      for (const [i, latent] of some.entries()) {
        const at = (latent - first) * rowBytes
        rows.set(bytes.subarray(at, at + rowBytes), i * rowBytes)
      }
      return rows
    }
  }
}

async function* rowsGathered(
  matrix: Matrix,
  wanted: Uint32Array,
  heldBytes: number,
): AsyncGenerator<LatentRows> {
  const size = FLOAT_BYTES[matrix.dtype]
  const Words = WORDS[size] ?? Uint32Array
  const { columns, latents: lineLength } = matrix
  const most = Math.max(1, Math.floor(heldBytes / (columns * size)))
  for (let begin = 0; begin < wanted.length; begin += most) {
    const latents = wanted.subarray(begin, begin + most)
    const held = new Words(latents.length * columns)
    for await (const { first, bytes } of lines(matrix, lineLength * size)) {
      const words = new Words(bytes.buffer, bytes.byteOffset, bytes.length / size)
      for (let i = 0; i < words.length / lineLength; i += 1)
        for (let row = 0; row < latents.length; row += 1)
          held[row * columns + first + i] = words[i * lineLength + (latents[row] ?? 0)] ?? 0
    }
    const rowBytes = columns * size
    const step = Math.max(1, Math.floor(BLOCK_BYTES / rowBytes))
    for (let row = 0; row < latents.length; row += step) {
      const some = latents.subarray(row, row + step)
      const bytes = new Uint8Array(held.buffer, row * rowBytes, some.length * rowBytes)
      yield { latents: some, bytes }
    }
  }
}

/** Moves numbers without looking at them; no two doubles that are finite are taken for each other. */
const WORDS: Readonly<
  Record<number, Uint16ArrayConstructor | Uint32ArrayConstructor | Float64ArrayConstructor>
> = { 2: Uint16Array, 4: Uint32Array, 8: Float64Array }

/** Whole lines of the file, each of `lineBytes`; `first` is the number of the first of them. */
async function* lines(
  { name, read }: Matrix,
  lineBytes: number,
): AsyncGenerator<{ readonly first: number; readonly bytes: Uint8Array<ArrayBuffer> }> {
  const size = Math.max(1, Math.floor(BLOCK_BYTES / lineBytes)) * lineBytes
  let block = new Uint8Array(size)
  let filled = 0
  let first = 0
  for await (const piece of read()) {
    for (let at = 0; at < piece.length;) {
      const part = piece.subarray(at, at + size - filled)
      block.set(part, filled)
      filled += part.length
      at += part.length
      if (filled < size) continue
      yield { first, bytes: block }
      // Who got the one before may hold it still.
      block = new Uint8Array(size)
      first += size / lineBytes
      filled = 0
    }
  }
  if (filled % lineBytes !== 0) refuseAt(`tensor ${name}`, 'ends within a row')
  if (filled > 0) yield { first, bytes: block.subarray(0, filled) }
}

/** The Euclidean norm of each latent's numbers. @throws {DetectorRefused} where one is not finite */
export async function normsOf(matrix: Matrix): Promise<Float64Array> {
  const { name, dtype, latents, columns, isByLatent } = matrix
  const squares = new Float64Array(latents)
  const length = isByLatent ? columns : latents
  for await (const { first, bytes } of lines(matrix, length * FLOAT_BYTES[dtype])) {
    const values = floatsOf(dtype, bytes)
    for (let line = 0; line < values.length / length; line += 1)
      for (let i = 0; i < length; i += 1) {
        const latent = isByLatent ? first + line : i
        squares[latent] = (squares[latent] ?? 0) + (values[line * length + i] ?? 0) ** 2
      }
  }
  const norms = squares.map(Math.sqrt)
  const at = norms.findIndex((norm) => !Number.isFinite(norm))
  return at === -1 ? norms : refuseAt(`tensor ${name}`, `is not finite for latent ${at}`)
}
