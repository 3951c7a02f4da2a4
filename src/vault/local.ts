import { randomBytes } from 'node:crypto'
import { constants, type PathLike } from 'node:fs'
import {
  access,
  type FileHandle,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  statfs,
} from 'node:fs/promises'
import { join } from 'node:path'
import { FoldersRefused } from '../folders.ts'
import {
  type OpenBlob,
  type ParkedFile,
  type ScratchFile,
  type Staged,
  type Vault,
  VaultFull,
} from './vault.ts'

// vault/
//   staging/ID         being written, 0600; swept at start
//   blobs/AB/ABCDEF…   sealed, 0444; ID is 32 random hex digits, AB its first two
//   quarantine/ID      damaged, kept for a person
//   identity           the vault's own random name
const ID = /^[0-9a-f]{32}$/

/** Nothing, or nothing that a vault wrote, has that name: a link, or a file where a shelf was. */
const NOT_THERE = ['ENOENT', 'ELOOP', 'ENOTDIR', 'ENXIO']
const SHELF = /^[0-9a-f]{2}$/
const READ_BYTES = 1024 * 1024

/** The paths of a vault; what stands for a blob is found by its id alone. */
function layoutOf(root: string) {
  const blobs = join(root, 'blobs')
  const shelfOf = (id: string): string => join(blobs, id.slice(0, 2))
  return {
    staging: join(root, 'staging'),
    blobs,
    quarantined: join(root, 'quarantine'),
    identityFile: join(root, 'identity'),
    shelfOf,
    pathOf: (id: string): string => join(shelfOf(id), id),
  }
}

/** All of a vault that writes nothing. */
function readingOf(root: string) {
  const { blobs, identityFile, pathOf } = layoutOf(root)
  return {
    open: async (id) => {
      if (!ID.test(id)) return undefined
      return openBlob(pathOf(id))
    },
    list: async function* () {
      for (const shelf of await readdir(blobs)) {
        if (!SHELF.test(shelf)) continue
        for (const id of await readdir(join(blobs, shelf))) if (ID.test(id)) yield id
      }
    },
    freeBytes: async () => {
      const { bavail, bsize } = await statfs(root)
      return bavail * bsize
    },
    identity: async () => {
      try {
        return (await readFile(identityFile, 'utf8')).trim() || undefined
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return undefined
        throw error
      }
    },
  } satisfies Partial<Vault>
}

/**
 * A vault that others write, on a mount that may be read-only. Damaged bytes stay where they are.
 */
export function openVaultToRead(root: string): Vault {
  const refuse = (): Promise<never> => Promise.reject(new Error('this vault is only read'))
  return {
    ...readingOf(root),
    stage: refuse,
    scratch: refuse,
    remove: refuse,
    sweepStaging: refuse,
    identify: refuse,
    quarantine: () => Promise.resolve(),
    syncQuarantine: () => Promise.resolve(),
    ping: () => access(layoutOf(root).blobs, constants.R_OK | constants.X_OK),
  }
}

/**
 * A vault in a folder of the local file system. Folders are 0700.
 *
 * @throws {FoldersRefused} when a link stands for one of its folders.
 */
export async function openLocalVault(root: string): Promise<Vault> {
  const { staging, blobs, quarantined, identityFile, shelfOf, pathOf } = layoutOf(root)
  for (const folder of [staging, blobs, quarantined]) await makeFolder(folder)
  // All shelves are made, and made durable, before the first blob: a seal then syncs one folder.
  const shelves = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'))
  for (const shelf of shelves) await makeFolder(join(blobs, shelf))
  await syncFolder(blobs)
  await syncFolder(root)

  async function stage(): Promise<Staged> {
    const id = randomBytes(16).toString('hex')
    const path = join(staging, id)
    const file = await full(open(path, 'wx', 0o600))
    let opened = true
    const close = async (): Promise<void> => {
      if (!opened) return
      opened = false
      await file.close()
    }
    return {
      id,
      write: (position, bytes) => full(writeFully(file, position, bytes)),
      flush: () => full(file.datasync()),
      // The order is the promise: the bytes, then the name, then the folder that holds the name.
      seal: async () => {
        await file.chmod(0o444)
        await full(file.sync())
        await close()
        await full(rename(path, pathOf(id)))
        await syncFolder(shelfOf(id))
      },
      discard: async () => {
        await close()
        await rm(path, { force: true })
        await rm(pathOf(id), { force: true })
      },
    }
  }

  async function scratch(): Promise<ScratchFile> {
    const path = join(staging, randomBytes(16).toString('hex'))
    const file = await full(open(path, 'wx+', 0o600))
    let sizeBytes = 0
    return {
      fd: file.fd,
      get sizeBytes() {
        return sizeBytes
      },
      append: async (bytes) => {
        await full(writeFully(file, sizeBytes, bytes))
        sizeBytes += bytes.length
      },
      read: () => readAll(file),
      park: async () => {
        await file.close()
        return parked(path)
      },
      discard: async () => {
        await file.close()
        await rm(path, { force: true })
      },
    }
  }

  return {
    ...readingOf(root),
    stage,
    scratch,
    remove: async (id) => {
      if (ID.test(id)) await rm(pathOf(id), { force: true })
    },
    quarantine: async (id) => {
      if (!ID.test(id)) return
      try {
        await rename(pathOf(id), join(quarantined, id))
      } catch (error) {
        if (!NOT_THERE.includes(codeOf(error))) throw error
      }
    },
    syncQuarantine: async () => {
      await syncFolder(quarantined)
      for (const shelf of shelves) await syncFolder(join(blobs, shelf))
    },
    sweepStaging: async () => {
      const left = await readdir(staging)
      for (const name of left) await rm(join(staging, name), { force: true, recursive: true })
      return left.length
    },
    identify: async (identity) => {
      await rm(identityFile, { force: true })
      const file = await open(identityFile, 'wx', 0o444)
      try {
        await file.writeFile(`${identity}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
      await syncFolder(root)
    },
    ping: async () => {
      for (const folder of [staging, blobs])
        await access(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    },
  }
}

/**
 * Makes a folder of the vault where it is missing. A link in its place leads out of the vault, and the sweep at
 * start would empty what it leads to.
 */
async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  if (!(await lstat(path)).isDirectory())
    throw new FoldersRefused(`${path} must be a folder and no link: move what it leads to into it`)
}

/** Symlinks, folders and devices in a blob's place are nothing that a vault wrote: not there. */
async function openBlob(path: string): Promise<OpenBlob | undefined> {
  let file: FileHandle
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (error) {
    if (NOT_THERE.includes(codeOf(error))) return undefined
    throw error
  }
  const stat = await file.stat()
  if (stat.isFile()) return { fd: file.fd, sizeBytes: stat.size, close: () => file.close() }
  await file.close()
  return undefined
}

async function* readAll(file: FileHandle): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; ;) {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
    const { bytesRead } = await file.read(buffer, 0, READ_BYTES, at)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    at += bytesRead
  }
}

function parked(path: string): ParkedFile {
  const reopen = (): Promise<FileHandle> => open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  return {
    readAt: async (position, length) => {
      const file = await reopen()
      try {
        return await readFully(file, position, length)
      } finally {
        await file.close()
      }
    },
    read: async function* () {
      const file = await reopen()
      try {
        yield* readAll(file)
      } finally {
        await file.close()
      }
    },
    discard: () => rm(path, { force: true }),
  }
}

async function readFully(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(length)
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(buffer, done, length - done, position + done)
    if (bytesRead === 0) throw new Error('a file in staging is shorter than it was')
    done += bytesRead
  }
  return buffer
}

async function writeFully(file: FileHandle, position: number, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

async function syncFolder(path: PathLike): Promise<void> {
  const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await full(folder.sync())
  } finally {
    await folder.close()
  }
}

/** A full disk or quota gets its own name; every other failure passes as it is. */
async function full<T>(doing: Promise<T>): Promise<T> {
  try {
    return await doing
  } catch (error) {
    if (['ENOSPC', 'EDQUOT'].includes(codeOf(error)))
      throw new VaultFull('the vault is full', { cause: error })
    throw error
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
