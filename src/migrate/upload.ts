import { RegistryError } from '../errors.ts'
import type { Gate } from '../gate.ts'
import type { ScratchFile, Vault } from '../vault/vault.ts'

/**
 * Has a body in a file of its own while `use` works on it, and no longer. A slow body keeps nobody else waiting: only what
 * has arrived gets in line.
 *
 * @throws {RegistryError} TOO_LARGE, and whatever the body or `use` throws.
 */
export async function withUpload<T>(
  vault: Vault,
  body: AsyncIterable<Uint8Array>,
  { maxFileBytes, gate }: { readonly maxFileBytes: number | undefined; readonly gate: Gate },
  use: (source: ScratchFile) => Promise<T>,
): Promise<T> {
  const source = await vault.scratch()
  try {
    for await (const chunk of body) {
      if (source.sizeBytes + chunk.length > (maxFileBytes ?? Infinity))
        throw new RegistryError('TOO_LARGE', 'The file is too large.', { limit: maxFileBytes })
      await source.append(chunk)
    }
    const leave = await gate.enter()
    try {
      return await use(source)
    } finally {
      leave()
    }
  } finally {
    await source.discard()
  }
}
