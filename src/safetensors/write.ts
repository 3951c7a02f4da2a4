import { createHeaderWriter } from './header-writer.ts'
import { validate } from './stream.ts'

interface NewTensor {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

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
  const header = createHeaderWriter(metadata && Object.entries(metadata))
  for (const tensor of tensors) header.add({ ...tensor, size: tensor.bytes.length })
  const start = header.finish()
  const file = new Uint8Array(start.length + header.dataBytes())
  file.set(start)
  let at = start.length
  for (const { bytes } of tensors) {
    file.set(bytes, at)
    at += bytes.length
  }
  validate(file)
  return file
}
