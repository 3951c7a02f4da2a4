// The seed's module saved and loaded a dictionary of tensors. Here is the same over the registry: saved is
// published, loaded is downloaded and read by a reader that isn't ours.

import { createHash } from 'node:crypto'
import safetensors from 'safetensors'
import { writeSafetensors } from '../../src/safetensors/write.ts'
import type { TestServer } from '../helpers/server.ts'

/** Float values by tensor name. */
export type StateDict = Readonly<Record<string, Float32Array<ArrayBuffer>>>

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array<ArrayBuffer>) =>
  new Uint8Array(buffer, byteOffset, byteLength)

export const fileOf = (
  dict: StateDict,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> =>
  writeSafetensors(
    Object.entries(dict).map(([name, values]) => ({
      name,
      dtype: 'F32',
      shape: [values.length],
      bytes: bytesOf(values),
    })),
    metadata,
  )

/** Values from -1 to 1 that differ from place to place and are the same in every run. */
export const values = (count: number, seed = 1): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(i * 0.37 + seed))

export const hashOf = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')

export const pathOf = (ref: string) => `/v1/checkpoints/${ref}/files/model.safetensors`

export async function download({ request }: TestServer, ref: string): Promise<Buffer<ArrayBuffer>> {
  const response = await request(pathOf(ref))
  return Buffer.from(await response.arrayBuffer())
}

/** What the npm package `safetensors` reads; it can't read files with metadata. */
export function load(file: Uint8Array): StateDict {
  const reader = new safetensors.SafeTensor(file)
  return Object.fromEntries(
    [...reader.metadata.keys()].map((name) => [
      name,
      new Float32Array(Uint8Array.from(reader.getTensor(name)).buffer),
    ]),
  )
}
