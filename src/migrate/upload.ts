import { RegistryError } from '../errors.ts'
import type { ScratchFile, Vault } from '../vault/vault.ts'

/**
 * Has a body in a file of its own while `use` works on it, and no longer.
 *
 * @throws {RegistryError} TOO_LARGE, and whatever the body or `use` throws.
 */
export async function withUpload<T>(
  vault: Vault,
  body: AsyncIterable<Uint8Array>,
  maxFileBytes: number | undefined,
  use: (source: ScratchFile) => Promise<T>,
): Promise<T> {
  const source = await vault.scratch()
  try {
    for await (const chunk of body) {
      if (source.sizeBytes + chunk.length > (maxFileBytes ?? Infinity))
        throw new RegistryError('TOO_LARGE', 'The file is too large.', { limit: maxFileBytes })
      await source.append(chunk)
    }
    return await use(source)
  } finally {
    await source.discard()
  }
}
