import type { Stats } from 'node:fs'
import { mkdir, open, realpath, stat } from 'node:fs/promises'
import { dirname, join, resolve, sep } from 'node:path'

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
  const folders = {
    vault: await prepareFolder('vault', vault),
    ledger: await prepareFolder('ledger', ledger),
  }
  refuseUnlessApart(folders.vault, folders.ledger)
  return folders
}

/**
 * The same for a server that writes neither: it makes nothing, and asks for no ownership, but who may write the
 * snapshot decides what is served. `ledger` names the snapshot, or the folder that holds it.
 *
 * @throws {FoldersRefused}
 */
export async function findFolders(
  vault: string,
  ledger: string,
): Promise<{ vault: string; snapshot: string }> {
  const real = await find('ledger', ledger, MAKE_SNAPSHOT)
  const isFile = (await stat(real)).isFile()
  const folders = {
    vault: await find('vault', vault, 'a server that only reads makes none'),
    snapshot: isFile ? real : await find('snapshot', join(real, 'strongroom.db'), MAKE_SNAPSHOT),
  }
  const ledgerFolder = dirname(folders.snapshot)
  refuseUnlessApart(folders.vault, ledgerFolder)
  await refuseOpen('vault', folders.vault)
  await refuseOpen('ledger', ledgerFolder)
  await refuseOpen('snapshot', folders.snapshot)
  return folders
}

const MAKE_SNAPSHOT = 'make a snapshot with `strongroom backup`'

async function find(what: string, path: string, advice: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    throw new FoldersRefused(`the ${what} (${path}) isn't there; ${advice}`, { cause: error })
  }
}

function refuseUnlessApart(vault: string, ledger: string): void {
  if (isWithin(ledger, vault)) {
    throw new FoldersRefused(
      `the ledger (${ledger}) lies inside the vault (${vault}); move it to a folder of its own`,
    )
  }
  if (isWithin(vault, ledger)) {
    throw new FoldersRefused(
      `the vault (${vault}) lies inside the ledger (${ledger}); move it to a folder of its own`,
    )
  }
}

/** Makes a folder where it is missing; its real path. @throws {FoldersRefused} when another may write it */
export async function prepareFolder(what: 'vault' | 'ledger', path: string): Promise<string> {
  await make(resolve(path))
  const real = await realpath(path)
  const { uid } = await refuseOpen(what, real)
  const me = process.getuid?.()
  if (me !== undefined && me !== 0 && uid !== me) {
    throw new FoldersRefused(
      `the ${what} (${real}) belongs to user ${uid}, and the server runs as ${me}`,
    )
  }
  return real
}

async function refuseOpen(what: string, path: string): Promise<Stats> {
  const found = await stat(path)
  if ((found.mode & 0o022) !== 0) {
    throw new FoldersRefused(`the ${what} (${path}) is writable by others; run: chmod go-w ${path}`)
  }
  return found
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

/** Of real paths. */
export const isWithin = (inner: string, outer: string): boolean =>
  inner === outer || inner.startsWith(outer.endsWith(sep) ? outer : outer + sep)
