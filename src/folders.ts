import { mkdir, open, realpath, stat } from 'node:fs/promises'
import { dirname, resolve, sep } from 'node:path'

/** The folders can't be used as they are; the message says what to do. */
export class FoldersRefused extends Error {
  override readonly name = 'FoldersRefused'
}

/**
 * Makes the two folders where they are missing and checks what the registry's promise rests on: hashes lie
 * apart from bytes, and nobody else writes either. Symlinks are resolved first.
 *
 * @throws {FoldersRefused}
 */
export async function prepareFolders(
  vault: string,
  ledger: string,
): Promise<{ vault: string; ledger: string }> {
  const [realVault, realLedger] = [await prepare('vault', vault), await prepare('ledger', ledger)]
  if (isWithin(realLedger, realVault)) {
    throw new FoldersRefused(
      `the ledger (${realLedger}) lies inside the vault (${realVault}); move it to a folder of its own`,
    )
  }
  if (isWithin(realVault, realLedger)) {
    throw new FoldersRefused(
      `the vault (${realVault}) lies inside the ledger (${realLedger}); move it to a folder of its own`,
    )
  }
  return { vault: realVault, ledger: realLedger }
}

async function prepare(what: string, path: string): Promise<string> {
  await make(resolve(path))
  const real = await realpath(path)
  const { mode, uid } = await stat(real)
  if ((mode & 0o022) !== 0) {
    throw new FoldersRefused(`the ${what} (${real}) is writable by others; run: chmod go-w ${real}`)
  }
  const me = process.getuid?.()
  if (me !== undefined && me !== 0 && uid !== me) {
    throw new FoldersRefused(
      `the ${what} (${real}) belongs to user ${uid}, and the server runs as ${me}`,
    )
  }
  return real
}

/** Makes a folder with those above it, durably: a folder lasts once the one that holds its name is synced. */
async function make(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = path; made.length >= first.length; made = dirname(made)) {
    const holder = await open(dirname(made))
    try {
      await holder.sync()
    } finally {
      await holder.close()
    }
  }
}

const isWithin = (inner: string, outer: string): boolean =>
  inner === outer || inner.startsWith(outer.endsWith(sep) ? outer : outer + sep)
