import { createHash } from 'node:crypto'
import { RegistryError } from '../errors.ts'
import { parseSlice, type Slice, SliceError } from '../safetensors/slice.ts'
import { bytesOfSlice, type SliceBytes } from '../safetensors/strides.ts'
import { gather } from '../vault/gather.ts'
import type { ReadVerified } from '../vault/read-verified.ts'
import type { FoundTensor } from './find-tensors.ts'
import { contextOf, type Representation, storedBytes } from './representation.ts'
import type { ResolvedVersion } from './resolve.ts'

/** The tag of a slice follows from this too: it grows when the same slice is laid out in another way. */
const SLICE_FORMAT = 1

/** A tensor as it lies in its file. */
export const wholeTensor = (
  read: ReadVerified,
  resolved: ResolvedVersion,
  { tensor, file }: FoundTensor,
): Representation => storedBytes(read, file, contextOf(resolved, file.path), tensor)

/**
 * Part of a tensor, contiguous and in row-major order, and the shape that it has.
 *
 * @throws {RegistryError} INVALID_REQUEST for what isn't a slice of it, SLICE_NOT_ON_BYTES.
 */
export function tensorSlice(
  read: ReadVerified,
  resolved: ResolvedVersion,
  found: FoundTensor,
  text: string,
): { readonly representation: Representation; readonly shape: readonly number[] } {
  const { tensor, file } = found
  const { slice, bytes } = judged(found, text)
  const context = contextOf(resolved, file.path)
  const { blob } = file
  function* covers(begin: number, end: number) {
    for (const cover of bytes.covers(begin, end, blob.chunkSize)) yield { ...cover, blob, context }
  }
  const from = [SLICE_FORMAT, tensor.sha256, tensor.dtype, tensor.shape, slice]
  const representation = {
    tag: `derived-${createHash('sha256').update(JSON.stringify(from)).digest('hex')}`,
    sha256: undefined,
    size: bytes.size,
    files: [file],
    pieces: ({ begin, end }) => gather(read, covers(begin, end)),
  } satisfies Representation
  return { representation, shape: slice.shape }
}

function judged(
  { tensor: { dtype, shape, begin }, bits }: FoundTensor,
  text: string,
): { readonly slice: Slice; readonly bytes: SliceBytes } {
  try {
    const slice = parseSlice(text, shape)
    return { slice, bytes: bytesOfSlice(slice, shape, bits, begin) }
  } catch (error) {
    if (!(error instanceof SliceError)) throw error
    const { message, dimension } = error
    if (error.problem === 'not_on_bytes') {
      throw new RegistryError(
        'SLICE_NOT_ON_BYTES',
        `The slice doesn’t begin and end on whole bytes: an element of ${dtype} has ${bits} bits.`,
        { dimension, dtype, bits },
        error,
      )
    }
    throw new RegistryError(
      'INVALID_REQUEST',
      'This is not a slice of the tensor.',
      { errors: [{ field: 'query.slice', detail: message, dimension }] },
      error,
    )
  }
}
