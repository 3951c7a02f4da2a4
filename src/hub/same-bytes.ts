import { createHash } from 'node:crypto'
import { digestMismatch } from '../registry/publish.ts'
import type { LargeObject } from './assemblies.ts'

/**
 * Takes in what is here already, without keeping it.
 *
 * @throws {RegistryError} DIGEST_MISMATCH for other bytes.
 */
export async function requireSame(
  body: AsyncIterable<Uint8Array>,
  { path, oid: expected, sizeBytes }: Pick<LargeObject, 'path' | 'oid' | 'sizeBytes'>,
): Promise<void> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    hash.update(chunk)
    if (bytes > sizeBytes) break
  }
  const actual = hash.digest('hex')
  if (actual !== expected) throw digestMismatch({ path, expected, actual })
}
