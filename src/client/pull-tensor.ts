import { createHash } from 'node:crypto'
import { RegistryError } from '../errors.ts'
import { parseDigestHeader } from '../http/digest-header.ts'
import type { FilePath } from '../registry/names.ts'
import { bytesOfElements, DTYPES } from '../safetensors/dtypes.ts'
import { parseSlice, SliceError } from '../safetensors/slice.ts'
import type { TensorItem } from './answers.ts'
import type { Answer, Connection } from './connection.ts'
import { UntrustedError } from './failures.ts'
import { exactly, pathOfVersion, remoteVersion, type VersionRef } from './registry.ts'

export interface TensorWanted {
  readonly name: string
  /** Python's basic slicing; all of the tensor without one. */
  readonly slice: string | undefined
  /** The file that holds it, where several hold one of the name. */
  readonly path: FilePath | undefined
}

/** A tensor, or a part of one, on its way. */
export interface ComingTensor {
  readonly tensor: TensorItem
  /** Of what comes. */
  readonly shape: readonly number[]
  /** Ends, or throws UntrustedError for bytes that aren't the tensor's. */
  readonly bytes: AsyncIterable<Uint8Array>
  /** Gives up the bytes where they aren't read. */
  readonly abandon: () => void
}

/**
 * Asks for a tensor of `version`, whose ref is a revision. Its list of tensors tells dtype, shape and SHA-256, and
 * the answer has to agree.
 *
 * @throws {RefusedError}, {UnreachableError}, {UntrustedError}
 */
export async function fetchTensor(
  connection: Connection,
  version: VersionRef,
  wanted: TensorWanted,
): Promise<ComingTensor> {
  const { name, slice, path } = wanted
  const query = new URLSearchParams({
    name,
    ...(slice === undefined ? {} : { slice }),
    ...(path === undefined ? {} : { path }),
  })
  const tensor = await listed(connection, version, wanted)
  // Asked for even where it isn't listed: the refusal names the nearest names.
  const answer = await connection.send({
    method: 'GET',
    path: `${pathOfVersion(version)}/tensor?${query.toString()}`,
  })
  try {
    return coming(answer, tensor, slice)
  } catch (error) {
    answer.abandon()
    throw error
  }
}

function coming(
  { headers, body, abandon }: Answer,
  tensor: TensorItem | undefined,
  slice: string | undefined,
): ComingTensor {
  if (tensor === undefined)
    throw new UntrustedError('The server sends a tensor that it does not list.')
  const shape = slice === undefined ? tensor.shape : shapeOfSlice(slice, tensor.shape)
  const sizeBytes = sizeOf(tensor.dtype, shape)
  const agrees =
    headers['x-tensor-dtype'] === tensor.dtype &&
    headers['x-tensor-shape'] === JSON.stringify(shape)
  if (!agrees) throw new UntrustedError('The server sends another tensor than it lists.')
  const claims = [
    ...(slice === undefined ? [tensor.sha256] : []),
    ...digestsIn(headers['repr-digest']),
  ]
  const whole = createHash('sha256')
  async function* bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const piece of exactly(body, sizeBytes)) {
      whole.update(piece)
      yield piece
    }
    const actual = whole.digest('hex')
    if (claims.some((claim) => claim !== actual))
      throw new UntrustedError('The bytes are not the tensor’s.', { actual })
  }
  return { tensor, shape, bytes: bytes(), abandon }
}

async function listed(
  connection: Connection,
  version: VersionRef,
  { name, path }: TensorWanted,
): Promise<TensorItem | undefined> {
  const query = { prefix: name, ...(path === undefined ? {} : { path }) }
  for await (const tensor of remoteVersion(connection, version).tensors(query)) {
    if (tensor.name === name && (path === undefined || tensor.path === path)) return tensor
  }
  return undefined
}

function shapeOfSlice(slice: string, shape: readonly number[]): readonly number[] {
  try {
    return parseSlice(slice, shape).shape
  } catch (error) {
    if (error instanceof SliceError)
      throw new UntrustedError(`The server sends a slice that is none: ${error.message}.`)
    throw error
  }
}

function sizeOf(dtype: string, shape: readonly number[]): number {
  const code = DTYPES.findIndex(({ name }) => name === dtype)
  const elements = shape.includes(0) ? 0 : shape.reduce((product, dim) => product * dim, 1)
  const bytes = code === -1 ? undefined : bytesOfElements(code, elements)
  if (bytes === undefined) throw new UntrustedError('No tensor has this dtype and shape.')
  return bytes
}

/** SHA-256 in hex of the whole representation, RFC 9530, if the server tells it. */
function digestsIn(header: string | readonly string[] | undefined): readonly string[] {
  if (typeof header !== 'string') return []
  try {
    const digest = parseDigestHeader(header).get('sha-256')
    return digest === undefined ? [] : [Buffer.from(digest).toString('hex')]
  } catch (error) {
    if (error instanceof RegistryError) throw new UntrustedError(error.message)
    throw error
  }
}
