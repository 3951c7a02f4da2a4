import { validate } from './stream.ts'

interface NewTensor {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

/** Data begins at a multiple of this, so that every dtype can be read in place. */
const ALIGNMENT = 8

/**
 * A safetensors file in memory: the tensors in the order given, `__metadata__` first with its keys sorted, the
 * header padded with spaces. The same arguments give the same bytes.
 *
 * @throws SafetensorsError when the result would not be a valid file
 */
export function writeSafetensors(
  tensors: readonly NewTensor[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const header = new TextEncoder().encode(headerText(tensors, metadata))
  const headerBytes = Math.ceil(header.length / ALIGNMENT) * ALIGNMENT
  const size = tensors.reduce((sum, { bytes }) => sum + bytes.length, 8 + headerBytes)
  const file = new Uint8Array(size)
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true)
  file.fill(0x20, 8, 8 + headerBytes)
  file.set(header, 8)
  let at = 8 + headerBytes
  for (const { bytes } of tensors) {
    file.set(bytes, at)
    at += bytes.length
  }
  validate(file)
  return file
}

/** Written member by member: an object would lose a tensor named `__proto__` and reorder those named by numbers. */
function headerText(
  tensors: readonly NewTensor[],
  metadata: Readonly<Record<string, string>> | undefined,
): string {
  const members: string[] = []
  if (metadata !== undefined) members.push(`"__metadata__":${metadataText(metadata)}`)
  let begin = 0
  for (const { name, dtype, shape, bytes } of tensors) {
    const end = begin + bytes.length
    const entry = JSON.stringify({ dtype, shape, data_offsets: [begin, end] })
    members.push(`${JSON.stringify(name)}:${entry}`)
    begin = end
  }
  return `{${members.join(',')}}`
}

function metadataText(metadata: Readonly<Record<string, string>>): string {
  const members = Object.keys(metadata)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${JSON.stringify(metadata[key])}`)
  return `{${members.join(',')}}`
}
