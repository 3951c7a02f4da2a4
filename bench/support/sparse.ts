import { open } from 'node:fs/promises'
import { createHeaderWriter } from '../../src/safetensors/header-writer.ts'

const TENSORS = 100

/** A valid file of zeros that takes no room on the disk it is read from; its size. */
export function makeSparse(path: string, bytes: number): Promise<number> {
  const elements = Math.floor(bytes / TENSORS / 4)
  return makeSparseOf(
    path,
    Array.from({ length: TENSORS }, (_, i) => ({ name: `layers.${i}.weight`, shape: [elements] })),
  )
}

/** The same of F32 tensors with these names and shapes. */
export async function makeSparseOf(
  path: string,
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
): Promise<number> {
  const header = createHeaderWriter(undefined)
  for (const { name, shape } of tensors)
    header.add({ name, dtype: 'F32', shape, size: shape.reduce((n, dim) => n * dim, 4) })
  const start = header.finish()
  const file = await open(path, 'w')
  await file.write(start)
  const size = start.length + header.dataBytes()
  await file.truncate(size)
  await file.close()
  return size
}
