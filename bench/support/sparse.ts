import { open } from 'node:fs/promises'

const TENSORS = 100

/** A valid file of zeros that takes no room on the disk it is read from. */
export async function makeSparse(path: string, bytes: number): Promise<number> {
  const elements = Math.floor(bytes / TENSORS / 4)
  const entries: Record<string, unknown> = {}
  for (let i = 0; i < TENSORS; i++) {
    const begin = i * elements * 4
    const data_offsets = [begin, begin + elements * 4]
    entries[`layers.${i}.weight`] = { dtype: 'F32', shape: [elements], data_offsets }
  }
  const json = JSON.stringify(entries)
  const header = json.padEnd(Math.ceil(json.length / 8) * 8)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(header.length))
  const file = await open(path, 'w')
  await file.write(Buffer.concat([length, Buffer.from(header)]))
  const size = 8 + header.length + TENSORS * elements * 4
  await file.truncate(size)
  await file.close()
  return size
}
