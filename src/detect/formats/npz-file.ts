import { pipeline } from 'node:stream/promises'
import { crc32, createInflateRaw } from 'node:zlib'
import { DTYPES } from '../../safetensors/dtypes.ts'
import { refuseAt } from '../open/members.ts'
import { MAX_NPY_START, readNpyHeader } from './npy-header.ts'
import type { RandomAccess } from './random-access.ts'
import type { OpenedTensors, StoredTensor } from './tensor-file.ts'
import { readZipDirectory, type ZipMember } from './zip-directory.ts'

const INFLATED_BYTES = 256 * 1024

/**
 * The arrays of a .npz file, of which the names and headers are read now. A member inflates to what its array takes
 * and not to a byte more: whatever an archive promises, what is held of it is a piece.
 */
export async function openNpz(file: RandomAccess): Promise<OpenedTensors> {
  const tensors = new Map<string, StoredTensor>()
  for (const member of await readZipDirectory(file)) {
    if (!/^[\w.-]{1,100}\.npy$/.test(member.name))
      refuseAt(`member ${JSON.stringify(member.name.slice(0, 60))}`, 'is no array of NumPy')
    const tensor = await openArray(file, member)
    tensors.set(tensor.name, tensor)
  }
  return { tensors, metadata: {} }
}

async function openArray(file: RandomAccess, member: ZipMember): Promise<StoredTensor> {
  const name = member.name.replace(/\.npy$/, '')
  const where = `tensor ${name}`
  const header = readNpyHeader(await startOf(file, member), where)
  const { dtype, shape, fastest, length } = header
  const bits = DTYPES.find((each) => each.name === dtype)?.bits ?? 0
  const bytes = shape.reduce((a, b) => a * b, bits / 8)
  if (length + bytes !== member.sizeBytes)
    refuseAt(
      where,
      `takes ${length + bytes} bytes by its shape, and ${member.sizeBytes} in the file`,
    )
  return { name, dtype, shape, fastest, read: () => after(checked(file, member, where), length) }
}

async function startOf(file: RandomAccess, member: ZipMember): Promise<Buffer> {
  const parts: Buffer[] = []
  let length = 0
  for await (const piece of contentOf(file, member)) {
    parts.push(piece)
    length += piece.length
    if (length >= MAX_NPY_START) break
  }
  return Buffer.concat(parts).subarray(0, MAX_NPY_START)
}

/** Everything but the first bytes. */
async function* after(pieces: AsyncIterable<Buffer>, skip: number): AsyncGenerator<Buffer> {
  let left = skip
  for await (const piece of pieces) {
    if (left < piece.length) yield piece.subarray(left)
    left = Math.max(0, left - piece.length)
  }
}

/** A member's content, refused where it is longer or shorter than the directory says, or another. */
async function* checked(
  file: RandomAccess,
  member: ZipMember,
  where: string,
): AsyncGenerator<Buffer> {
  let length = 0
  let sum = 0
  for await (const piece of contentOf(file, member)) {
    length += piece.length
    if (length > member.sizeBytes) refuseAt(where, 'inflates to more than the archive says')
    sum = crc32(piece, sum)
    yield piece
  }
  if (length < member.sizeBytes) refuseAt(where, 'inflates to less than the archive says')
  if (sum !== member.crc32) refuseAt(where, 'is damaged: its checksum differs')
}

function contentOf(file: RandomAccess, member: ZipMember): AsyncGenerator<Buffer> {
  const stored = file.stream(member.begin, member.end)
  return member.isDeflated ? inflated(stored, member.name) : stored
}

async function* inflated(deflated: AsyncIterable<Buffer>, name: string): AsyncGenerator<Buffer> {
  const inflate = createInflateRaw({ chunkSize: INFLATED_BYTES })
  const fed = pipeline(deflated, inflate)
  // Its failure shows below.
  fed.catch(() => undefined)
  try {
    for await (const piece of inflate) yield piece as Buffer
  } catch (error) {
    if (error instanceof Error && 'code' in error && String(error.code).startsWith('Z_'))
      refuseAt(`member ${JSON.stringify(name)}`, 'is damaged: it does not inflate')
    throw error
  } finally {
    inflate.destroy()
  }
}
