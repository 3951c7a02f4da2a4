import { readdirSync, readFileSync } from 'node:fs'
import { decodeChunk } from '../../../src/hub/xet/chunk.ts'
import { type ShardFile, parseShard } from '../../../src/hub/xet/shard.ts'
import { XetError } from '../../../src/hub/xet/xet-error.ts'
import { chunkAt } from '../../../src/hub/xet/xorb-index.ts'
import { createXorbReader, type XorbLimits } from '../../../src/hub/xet/xorb.ts'

const FOLDER = new URL('../../fixtures/xet/', import.meta.url)

/** One commit of one client. */
export interface Upload {
  /** By the hash that each was posted to. */
  readonly xorbs: ReadonlyMap<string, Uint8Array>
  readonly shards: readonly Uint8Array[]
}

export const fixture = (path: string): Uint8Array => readFileSync(new URL(path, FOLDER))

export function uploadOf(client: string): Upload {
  const names = readdirSync(new URL(client, FOLDER)).sort()
  const read = (name: string) => fixture(`${client}/${name}`)
  const xorbs = names.filter((name) => name.endsWith('.xorb'))
  return {
    xorbs: new Map(xorbs.map((name) => [name.slice(0, -'.xorb'.length), read(name)])),
    shards: names.filter((name) => name.endsWith('.shard')).map(read),
  }
}

export function indexOf(xorb: Uint8Array, limits: XorbLimits = {}, pieceBytes = Infinity) {
  const reader = createXorbReader(limits)
  for (let at = 0; at < xorb.length; at += pieceBytes)
    reader.write(xorb.subarray(at, at + pieceBytes))
  return reader.end()
}

/** The file's bytes, put together from its terms. */
export function assemble(file: ShardFile, xorbs: Upload['xorbs']): Buffer {
  const parts: Uint8Array[] = []
  for (let term = 0; term < file.terms.count; term += 1) {
    const { xorb: hash, chunkBegin, chunkEnd } = file.terms.at(term)
    const xorb = xorbs.get(hash) ?? new Uint8Array()
    const index = indexOf(xorb)
    for (let i = chunkBegin; i < chunkEnd; i += 1) {
      const { scheme, begin, end, rawBytes } = chunkAt(index, i)
      parts.push(decodeChunk(xorb.subarray(begin, end), scheme, rawBytes))
    }
  }
  return Buffer.concat(parts)
}

export async function filesOf(upload: Upload): Promise<ShardFile[]> {
  const files = await Promise.all(upload.shards.map((shard) => parseShard(shard)))
  return files.flat()
}

/** The reason for which it was refused, or `undefined`. Any other error is a fault of ours, and thrown on. */
export async function refusal(run: () => unknown): Promise<string | undefined> {
  try {
    await run()
    return undefined
  } catch (error) {
    if (error instanceof XetError) return error.reason
    throw error
  }
}
