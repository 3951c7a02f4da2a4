import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { revisionOf } from '../../src/registry/revision.ts'
import type { Closing } from './fixture.ts'

// What servers need that lie: each in one way, and otherwise consistently.

export const sha256 = (bytes: Uint8Array): string =>
  createHash('sha256').update(bytes).digest('hex')

/** Serves until the test ends. @returns the URL */
export async function listen(t: Closing, answer: RequestListener): Promise<string> {
  const server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return `http://127.0.0.1:${port}`
}

/** The description of `acme/bert@version`, of files with these bytes; its revision is right. */
export function describe(
  files: readonly { readonly path: string; readonly bytes: Uint8Array }[],
  version = '1',
): Record<string, unknown> & { revision: string } {
  const described = files.map(({ path, bytes }) => ({
    path,
    size: bytes.length,
    sha256: sha256(bytes),
    tensors: 1,
    metadata: {},
  }))
  const said = { checkpoint: 'acme/bert', version, files: described, metadata: {} }
  return {
    ...said,
    revision: revisionOf(said),
    state: 'available',
    created_at: '2026-11-22T10:00:00Z',
    created_by: 'mallory\u001b[2J',
    size: files.reduce((sum, { bytes }) => sum + bytes.length, 0),
    tensors: files.length,
    parameters: 1,
    tags: [],
    warnings: ['\u001b]0;owned\u0007'],
  }
}

export function hashesOf(bytes: Uint8Array, chunkBytes: number): object {
  const leaves = []
  for (let at = 0; at < bytes.length; at += chunkBytes)
    leaves.push(sha256(bytes.subarray(at, at + chunkBytes)))
  return { sha256: sha256(bytes), size: bytes.length, chunk_size: chunkBytes, leaves }
}

/** The bytes with one of them another. */
export function changed(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}
